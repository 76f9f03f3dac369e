package ipam

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
)

// hostLocal mirrors the JSON of type host-local (CNI plugins v1.9,
// plugins/ipam/host-local).
type hostLocal struct {
	hostRange
	Ranges     [][]hostRange `json:"ranges"`
	Routes     []routeText   `json:"routes"`
	ResolvConf string        `json:"resolvConf"`
	// DataDir is where the plugin kept its files: read by an import only.
	DataDir string `json:"dataDir"`
}

// hostRange is a subnet, at the top level too, as it was before there were
// ranges.
type hostRange struct {
	Subnet     string `json:"subnet"`
	RangeStart string `json:"rangeStart"`
	RangeEnd   string `json:"rangeEnd"`
	Gateway    string `json:"gateway"`
}

// DefaultDataDir is where host-local keeps its files unless it is told
// otherwise.
const DefaultDataDir = "/var/lib/cni/networks"

// parseHostLocal reads type host-local. Its pools have no domain until
// OfNetwork gives them one.
func parseHostLocal(raw []byte) (Config, error) {
	c := Config{Type: TypeHostLocal}
	var h hostLocal
	if err := json.Unmarshal(raw, &h); err != nil {
		return c, bad("ipam: "+jsonProblem(err), "correct the network's configuration")
	}
	if c.ResolvConf = h.ResolvConf; c.ResolvConf != "" && !path.IsAbs(c.ResolvConf) {
		return c, bad(fmt.Sprintf("ipam.resolvConf %q: is not the full path of a file", c.ResolvConf), `write it from "/" on, such as "/etc/resolv.conf"`)
	}
	if c.DataDir = h.DataDir; c.DataDir == "" {
		c.DataDir = DefaultDataDir
	}
	sets, fields := h.sets()
	if len(sets) == 0 {
		return c, bad("ipam: no range, so there is nothing to take an address from", `add "ranges": [[{"subnet": "10.1.0.0/24"}]]`)
	}
	for i, set := range sets {
		pools, err := parseSet(set, fields[i])
		if err != nil {
			return c, err
		}
		c.Pools = append(c.Pools, pools)
	}
	if err := c.apart(fields); err != nil {
		return c, err
	}
	if err := (section{Routes: h.Routes}).routes(&c); err != nil {
		return c, err
	}
	return c, c.parsePools()
}

// sets are the sets of ranges, the one of the top level first, and what
// errors put before the names of fields.
func (h hostLocal) sets() (sets [][]hostRange, fields []string) {
	if h.hostRange != (hostRange{}) {
		sets, fields = append(sets, []hostRange{h.hostRange}), append(fields, "ipam.")
	}
	for i, set := range h.Ranges {
		sets, fields = append(sets, set), append(fields, fmt.Sprintf("ipam.ranges[%d]", i))
	}
	return sets, fields
}

// parseSet reads ranges of one family that are tried in turn.
func parseSet(set []hostRange, field string) ([]Pool, error) {
	if len(set) == 0 {
		return nil, bad(field+": is an empty list", `write [{"subnet": "10.1.0.0/24"}], or leave it out`)
	}
	var pools []Pool
	for i, r := range set {
		where := field
		if field != "ipam." {
			where = fmt.Sprintf("%s[%d].", field, i)
		}
		p, err := r.pool(where)
		if err != nil {
			return nil, err
		}
		if p.Prefix.Addr().BitLen() != set0(pools, p).Prefix.Addr().BitLen() {
			return nil, bad(fmt.Sprintf("%ssubnet %q: the ranges of one list are alternatives and must be of one address family", where, r.Subnet),
				"put it into a list of its own: each list gives one address")
		}
		for j, other := range pools {
			if other.Ranges[0].overlaps(p.Ranges[0]) {
				return nil, bad(fmt.Sprintf("%ssubnet: %s shares addresses with %s of %s[%d]", where, p.Ranges[0], other.Ranges[0], field, j), "set rangeStart and rangeEnd so that they do not")
			}
		}
		pools = append(pools, p)
	}
	return pools, nil
}

func set0(pools []Pool, p Pool) Pool {
	if len(pools) > 0 {
		return pools[0]
	}
	return p
}

// pool reads one range. Where it begins and ends, and which address is the
// gateway's, follow from the subnet unless they are given.
func (r hostRange) pool(field string) (Pool, error) {
	wrong := func(name, value string, err error) (Pool, error) {
		return Pool{}, bad(fmt.Sprintf("%s%s %q: %v", field, name, value, err), "correct the range")
	}
	if r.Subnet == "" {
		return Pool{}, bad(field+"subnet is missing", `add "subnet": "10.1.0.0/24"`)
	}
	prefix, err := parsePrefix(r.Subnet)
	switch {
	case err != nil:
		return wrong("subnet", r.Subnet, err)
	case prefix != prefix.Masked():
		return wrong("subnet", r.Subnet, fmt.Errorf("has bits set behind its prefix length: write %s", prefix.Masked()))
	case prefix.Bits() > prefix.Addr().BitLen()-2:
		return wrong("subnet", r.Subnet, fmt.Errorf("is too small, host-local needs at least a /%d", prefix.Addr().BitLen()-2))
	}
	all := RangeOf(prefix)
	first, last := all.First.Next(), all.Last
	if prefix.Addr().Is4() {
		last = last.Prev()
	}
	p := Pool{Prefix: prefix, Gateway: first, Local: true, Policy: Policy{Resting: true}}
	if r.RangeStart != "" {
		if first, err = inside(prefix, r.RangeStart); err != nil {
			return wrong("rangeStart", r.RangeStart, err)
		}
	}
	if r.RangeEnd != "" {
		if last, err = inside(prefix, r.RangeEnd); err != nil {
			return wrong("rangeEnd", r.RangeEnd, err)
		}
	}
	if last.Less(first) {
		return wrong("rangeEnd", last.String(), fmt.Errorf("lies below the start of the range, %s", first))
	}
	if r.Gateway != "" {
		if p.Gateway, err = gatewayIn(prefix, r.Gateway); err != nil {
			return wrong("gateway", r.Gateway, err)
		}
	}
	p.Ranges = []Range{{first, last}}
	p.Name = p.Ranges[0].String()
	if r.RangeStart == "" && r.RangeEnd == "" {
		p.Name = prefix.String()
	}
	return p, nil
}

// apart refuses sets that share addresses: an interface takes one of each.
func (c Config) apart(fields []string) error {
	for i, set := range c.Pools {
		for _, p := range set {
			for j, other := range c.Pools[:i] {
				for _, o := range other {
					if o.Ranges[0].overlaps(p.Ranges[0]) {
						return bad(fmt.Sprintf("%s: %s shares addresses with %s of %s", fields[i], p.Ranges[0], o.Ranges[0], fields[j]), "set rangeStart and rangeEnd so that they do not")
					}
				}
			}
		}
	}
	return nil
}

// overlaps tells whether two ranges have an address in common.
func (r Range) overlaps(o Range) bool { return r.Contains(o.First) || o.Contains(r.First) }

// OfNetwork gives the pools of type host-local the domain in which their
// addresses are counted, which the name of the network decides: on this node
// alone, as the plugin does, or in the whole cluster. Other types have theirs.
func (c Config) OfNetwork(name string, cluster bool) Config {
	if c.Type != TypeHostLocal {
		return c
	}
	c.NodeOnly = !cluster
	pools := make([][]Pool, len(c.Pools))
	for i, set := range c.Pools {
		for _, p := range set {
			p.Local = !cluster
			if p.Domain = nodeDomain + name; cluster {
				p.Domain, p.Policy.Resting = domainOf(name), false
			}
			p.Name = name + ":" + p.Name
			pools[i] = append(pools[i], p)
		}
	}
	c.Pools = pools
	return c
}

// nodeDomain begins the domains of networks whose addresses are counted by
// this node alone. No domain of the cluster has a slash.
const nodeDomain = "host-local/"

// oneOfEach refuses what host-local cannot fulfil: more addresses asked for
// than there are sets that have them.
func (c Config) oneOfEach(wants []Want, anys int) error {
	if c.Type != TypeHostLocal || len(wants) <= anys {
		return nil
	}
	var too netip.Addr
	for _, w := range wants[anys:] {
		too = w.Static
	}
	return &Refusal{Reason: OutOfRange, Message: fmt.Sprintf("address %s is asked for, and another of the same range too: type host-local gives one address of each list of ranges", too),
		Fix: "ask for one address of each list, or add a list of ranges for it"}
}
