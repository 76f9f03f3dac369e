package ipam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"strings"
)

// Types of the ipam section that are built in.
const (
	TypeTsunagu     = "tsunagu"
	TypeWhereabouts = "whereabouts"
	TypeStatic      = "static"
	TypeHostLocal   = "host-local"
	TypeDHCP        = "dhcp"
)

// Types lists those that are built in.
func Types() []string {
	return []string{TypeTsunagu, TypeWhereabouts, TypeHostLocal, TypeDHCP, TypeStatic}
}

// Config is the ipam section of a CNI configuration. An empty section, or
// none, is a Config without addresses.
type Config struct {
	Type string
	// PoolNames are IPPool objects; one address is taken of each element,
	// whose names are tried in turn.
	PoolNames [][]string
	// Pools are written out in the configuration; one address is taken of
	// each element, whose pools are tried in turn.
	Pools [][]Pool
	// Static are addresses that are simply set.
	Static []StaticAddress
	Routes []Route
	DNS    DNS
	// ResolvConf is a file of the node that DNS is read from.
	ResolvConf string
	// DataDir is where the plugin host-local would keep its files.
	DataDir string
	// NodeOnly tells that each node counts the addresses for itself, so that
	// two nodes give the same.
	NodeOnly bool
	// DHCP is set when addresses come from a server on the network.
	DHCP *DHCP
}

// StaticAddress is an address that the configuration fixes.
type StaticAddress struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
}

// section mirrors the JSON of all types.
type section struct {
	Type string `json:"type"`

	Pools []choice `json:"pools"`

	Range      string    `json:"range"`
	RangeStart string    `json:"range_start"`
	RangeEnd   string    `json:"range_end"`
	Exclude    []string  `json:"exclude"`
	IPRanges   []ipRange `json:"ipRanges"`
	Gateway    string    `json:"gateway"`
	Network    string    `json:"network_name"`
	Whole      bool      `json:"enable_l3"`
	Apart      *bool     `json:"enable_overlapping_ranges"`

	Addresses []staticAddress `json:"addresses"`
	Routes    []routeText     `json:"routes"`
	DNS       DNS             `json:"dns"`
}

type ipRange struct {
	Range      string   `json:"range"`
	RangeStart string   `json:"range_start"`
	RangeEnd   string   `json:"range_end"`
	Exclude    []string `json:"exclude"`
}

type staticAddress struct {
	Address string `json:"address"`
	Gateway string `json:"gateway"`
}

type routeText struct {
	Dst string `json:"dst"`
	GW  string `json:"gw"`
	RouteTuning
}

// ParseConfig reads the ipam section of a plugin's configuration. Errors are
// Refusals that name the field, its value and what would be right.
func ParseConfig(raw []byte) (Config, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("{}")) || bytes.Equal(raw, []byte("null")) {
		return Config{}, nil
	}
	var s section
	if err := json.Unmarshal(raw, &s); err != nil {
		return Config{}, bad("ipam: "+jsonProblem(err), "correct the network's configuration")
	}
	switch s.Type {
	case TypeTsunagu:
		if err := knownFields(raw); err != nil {
			return Config{}, bad(err.Error(), "correct or remove it")
		}
		return s.parse()
	case TypeWhereabouts:
		if len(s.Pools) > 0 {
			return Config{}, bad("ipam.pools: type whereabouts has no such field", `use "type": "tsunagu" to name IPPools`)
		}
		return s.parse()
	case TypeStatic:
		return s.parseStatic()
	case "":
		return Config{}, bad("ipam.type is missing", `write "type": "tsunagu", "whereabouts", "host-local", "dhcp" or "static"`)
	case TypeHostLocal:
		return parseHostLocal(raw)
	case TypeDHCP:
		return parseDHCP(raw)
	}
	return Config{}, &Refusal{Reason: UnknownType,
		Message: fmt.Sprintf("ipam.type %q is not one of %s", s.Type, strings.Join(Types(), ", ")),
		Fix:     "use one of these"}
}

// parse reads types tsunagu and whereabouts.
func (s section) parse() (Config, error) {
	c := Config{Type: s.Type, DNS: s.DNS}
	if err := s.names(&c); err != nil {
		return c, err
	}
	ranges, fields := s.IPRanges, make([]string, len(s.IPRanges))
	for i := range ranges {
		fields[i] = fmt.Sprintf("ipam.ipRanges[%d].", i)
	}
	if s.Range != "" {
		// range is the first of ipRanges, as in whereabouts.
		ranges = append([]ipRange{{s.Range, s.RangeStart, s.RangeEnd, s.Exclude}}, ranges...)
		fields = append([]string{"ipam."}, fields...)
	} else if s.RangeStart != "" || s.RangeEnd != "" || len(s.Exclude) > 0 {
		return c, bad("ipam: range_start, range_end and exclude need range", `add "range"`)
	}
	for i, r := range ranges {
		p, err := s.pool(fields[i], r)
		if err != nil {
			return c, err
		}
		c.Pools = append(c.Pools, []Pool{p})
	}
	if err := s.gateway(&c); err != nil {
		return c, err
	}
	if err := s.addresses(&c); err != nil {
		return c, err
	}
	if err := s.routes(&c); err != nil {
		return c, err
	}
	if len(c.PoolNames)+len(c.Pools)+len(c.Static) == 0 {
		fix := `add "range": "192.168.10.0/24"`
		if s.Type == TypeTsunagu {
			fix = `add "pools": ["name of an IPPool"] or "range": "192.168.10.0/24"`
		}
		return c, bad("ipam: no pool and no range, so there is nothing to take an address from", fix)
	}
	return c, c.parsePools()
}

// parsePools computes what the pools may give out; each must have something.
func (c Config) parsePools() error {
	for p := range c.eachPool() {
		if *p = p.parsed(); len(p.spans) == 0 {
			return bad(fmt.Sprintf("ipam range %s: no address is left after exclude, gateway, network and broadcast address", p.Name), "make the range larger")
		}
	}
	return nil
}

// eachPool goes through the pools that are written out.
func (c Config) eachPool() iter.Seq[*Pool] {
	return func(yield func(*Pool) bool) {
		for _, set := range c.Pools {
			for i := range set {
				if !yield(&set[i]) {
					return
				}
			}
		}
	}
}

// gateway gives the gateway to the pools it lies in: it is one of a family.
func (s section) gateway(c *Config) error {
	if s.Gateway == "" {
		return nil
	}
	gw, err := parseAddr(s.Gateway)
	if err != nil {
		return bad(fmt.Sprintf("ipam.gateway %q: %v", s.Gateway, err), "write an address of the subnet")
	}
	used := len(c.PoolNames) > 0
	for p := range c.eachPool() {
		if p.Prefix.Contains(gw) || p.Prefix.Addr().BitLen() == gw.BitLen() && gw.IsLinkLocalUnicast() {
			p.Gateway, used = gw, true
		}
	}
	if !used && len(c.Pools) > 0 {
		return bad(fmt.Sprintf("ipam.gateway %s: lies outside the range %s", gw, c.Pools[0][0].Prefix), "write an address of the subnet")
	}
	return nil
}

func (s section) addresses(c *Config) error {
	for i, a := range s.Addresses {
		p, err := parsePrefix(a.Address)
		if err != nil {
			return bad(fmt.Sprintf("ipam.addresses[%d].address %q: %v", i, a.Address, err), "write address/length")
		}
		static := StaticAddress{Prefix: p}
		if a.Gateway != "" {
			if static.Gateway, err = gatewayIn(p.Masked(), a.Gateway); err != nil {
				return bad(fmt.Sprintf("ipam.addresses[%d].gateway %q: %v", i, a.Gateway, err), "write an address of the subnet")
			}
		}
		c.Static = append(c.Static, static)
	}
	return nil
}

func (s section) routes(c *Config) error {
	for i, r := range s.Routes {
		route, field, err := parseRoute(r.Dst, r.GW)
		if err != nil {
			return bad(fmt.Sprintf("ipam.routes[%d].%s %q: %v", i, field, map[string]string{"dst": r.Dst, "gw": r.GW}[field], err), "correct the route")
		}
		if field, value, most := r.wrong(); field != "" {
			return bad(fmt.Sprintf("ipam.routes[%d].%s %d: must be a number from 0 to %d", i, field, value, most), "correct or remove it")
		}
		route.RouteTuning = r.RouteTuning
		c.Routes = append(c.Routes, route)
	}
	return nil
}

// wrong names the field that the kernel could not take; "" for none.
func (t RouteTuning) wrong() (field string, value, most int) {
	scope := 0
	if t.Scope != nil {
		scope = *t.Scope
	}
	for _, f := range []struct {
		name        string
		value, most int
	}{{"mtu", t.MTU, 65535}, {"advmss", t.AdvMSS, 65535}, {"priority", t.Priority, math.MaxInt32}, {"table", t.Table, math.MaxInt32}, {"scope", scope, 255}} {
		if f.value < 0 || f.value > f.most {
			return f.name, f.value, f.most
		}
	}
	return "", 0, 0
}

func (s section) parseStatic() (Config, error) {
	c := Config{Type: s.Type, DNS: s.DNS}
	if err := s.addresses(&c); err != nil {
		return c, err
	}
	return c, s.routes(&c)
}

// knownFields refuses a misspelt field, which would otherwise be silently
// without effect. Types of others have fields of their own and are not asked.
func knownFields(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(new(section)); err != nil {
		return fmt.Errorf("ipam: %s", jsonProblem(err))
	}
	return nil
}

func jsonProblem(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("broken JSON at byte %d: %v", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Sprintf("%s must be %s, not %s", kind.Field, typeName(kind.Type.String()), kind.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func typeName(goType string) string {
	switch {
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "string":
		return "a string"
	}
	return "an object"
}
