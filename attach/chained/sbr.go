package chained

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// SBR routes by source: what has an address of the interface leaves by it, and nothing else does.
type SBR struct {
	// Table is where packets from the interface's addresses are looked up, which somebody else fills; 0 for tables of their own, one for
	// each address, into which the routes of the interface move.
	Table int
}

// Type is the plugin's name.
func (SBR) Type() string { return "sbr" }

func parseSBR(raw []byte) (Spec, error) {
	f := readFields("sbr", "", raw)
	table, _ := f.number("table", 1, 1<<31-1)
	return SBR{Table: table}, f.end()
}

// firstTable is where free tables are looked for.
const firstTable = 100

// sourced is what an SBR did: rules, routes that are new, and those that went out of the main table.
type sourced struct {
	Rules []link.Rule  `json:"rules"`
	New   []link.Route `json:"new,omitempty"`
	Gone  []link.Route `json:"gone,omitempty"`
}

// bySource makes the rules and moves the routes, all or none.
func bySource(c Call, s SBR) (w kind.Wired, state json.RawMessage, err error) {
	w = c.Wired
	if len(w.Addresses) == 0 {
		return w, nil, kind.BadConfig{Type: "sbr", Field: "ipam", Message: fmt.Sprintf("%s has no address to route by", c.IfName),
			Hint: "give the first plugin of the list an ipam; for one whose addresses come by DHCP have the plugins executed (annotation tsunagu.dev/plugins: binaries)"}
	}
	err = inPod(c, func(conn *link.Conn, l link.Link) error {
		did, err := planSources(conn, l, w, s)
		if err != nil {
			return err
		}
		if err := did.do(conn, l.Name); err != nil {
			did.undo(conn, l.Name)
			return err
		}
		if s.Table == 0 {
			w.Routes = did.moved(w.Routes)
		}
		state, err = json.Marshal(did)
		return err
	})
	return w, state, err
}

// planSources finds out what is to be done.
func planSources(conn *link.Conn, l link.Link, w kind.Wired, s SBR) (did sourced, err error) {
	rules, err := conn.Rules()
	if err != nil {
		return did, err
	}
	all, err := conn.Routes()
	if err != nil {
		return did, err
	}
	inUse := func(table int) bool {
		return slices.ContainsFunc(rules, func(r link.Rule) bool { return r.Table == table }) ||
			slices.ContainsFunc(all, func(r link.Route) bool { return r.Table == table })
	}
	own := slices.DeleteFunc(slices.Clone(all), func(r link.Route) bool { return r.Index != l.Index || !r.InMain() })
	table := firstTable
	for _, a := range w.Addresses {
		address := a.Prefix.Addr()
		if s.Table != 0 {
			did.Rules = append(did.Rules, link.Rule{Source: netip.PrefixFrom(address, address.BitLen()), Table: s.Table})
			continue
		}
		for inUse(table) {
			table++
		}
		did.Rules = append(did.Rules, link.Rule{Source: netip.PrefixFrom(address, address.BitLen()), Table: table})
		if a.Gateway.IsValid() { // also when one before has taken it away
			did.New = append(did.New, link.Route{Index: l.Index, Dst: everywhere(a.Gateway), Gateway: a.Gateway, Table: table})
		}
		for _, r := range own {
			onlyDevice := !r.Source.IsValid() && !r.Gateway.IsValid()
			if onlyDevice || a.Prefix.Contains(r.Source) || a.Prefix.Contains(r.Gateway) {
				r.Table = table
				did.New = append(did.New, r)
			}
		}
		table++
	}
	if s.Table == 0 {
		did.Gone = own
	}
	return did, nil
}

func everywhere(a netip.Addr) netip.Prefix {
	if a.Is6() {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

func (s sourced) do(conn *link.Conn, device string) error {
	var ops []link.Op
	for _, r := range s.Rules {
		ops = append(ops, link.AddRule(r))
	}
	for _, r := range s.New {
		ops = append(ops, link.ReplaceRoute(device, r))
	}
	for _, r := range slices.Backward(s.Gone) { // the last first: routes by a gateway may need those before
		ops = append(ops, link.DeleteRoute(device, r).Forgiving())
	}
	return conn.Apply(ops...)
}

// undo puts everything back as it was; what is so already is left.
func (s sourced) undo(conn *link.Conn, device string) {
	var ops []link.Op
	for pass := range 2 { // those without a gateway first
		for _, r := range s.Gone {
			if r.Gateway.IsValid() == (pass == 1) {
				ops = append(ops, link.ReplaceRoute(device, r).Forgiving())
			}
		}
	}
	for _, r := range slices.Backward(s.New) {
		ops = append(ops, link.DeleteRoute(device, r).Forgiving())
	}
	for _, r := range s.Rules {
		ops = append(ops, link.DeleteRule(r).Forgiving())
	}
	conn.Each(ops...)
}

// moved tells of routes in which table they are now.
func (s sourced) moved(routes []kind.Route) (now []kind.Route) {
	for _, r := range routes {
		for _, n := range s.New {
			if r.Table == 0 && n.Dst == r.Dst && (!r.Gateway.IsValid() || n.Gateway == r.Gateway) {
				r.Table = n.Table
			}
		}
		now = append(now, r)
	}
	return now
}

// unsource takes rules and routes back. After a crash it is not known which they are: rules from the interface's addresses are ours then.
func unsource(c Call, state json.RawMessage) error {
	return unlessGone(inPod(c, func(conn *link.Conn, l link.Link) error {
		var did sourced
		if len(state) > 0 && json.Unmarshal(state, &did) == nil {
			did.undo(conn, l.Name)
			return nil
		}
		rules, err := conn.Rules()
		if err != nil {
			return err
		}
		addresses, err := conn.AddressesOf(l.Index)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if r.Source.IsValid() && r.Source.IsSingleIP() && slices.ContainsFunc(addresses, func(a link.Address) bool { return a.Prefix.Addr() == r.Source.Addr() }) {
				did.Rules = append(did.Rules, r)
			}
		}
		did.undo(conn, l.Name)
		return nil
	}))
}

// checkSources looks for the rules, and for the routes by a gateway.
func checkSources(c Call, state json.RawMessage) error {
	var did sourced
	if err := json.Unmarshal(state, &did); err != nil {
		return fmt.Errorf("read what sbr did to %s: %w", c.IfName, err)
	}
	return inPod(c, func(conn *link.Conn, l link.Link) error {
		rules, err := conn.Rules()
		if err != nil {
			return err
		}
		for _, want := range did.Rules {
			if !slices.ContainsFunc(rules, func(r link.Rule) bool { return r.Source == want.Source && r.Table == want.Table }) {
				return kind.Mismatch{IfName: c.IfName, What: "the " + want.String(), Want: "present", Have: "missing"}
			}
		}
		routes, err := conn.RoutesOf(l.Index)
		if err != nil {
			return err
		}
		for _, want := range did.New {
			if want.Gateway.IsValid() && !slices.ContainsFunc(routes, func(r link.Route) bool {
				return r.Dst == want.Dst && r.Table == want.Table && r.Gateway == want.Gateway
			}) {
				return kind.Mismatch{IfName: c.IfName, What: fmt.Sprintf("the route to %s in table %d", want.Dst, want.Table), Want: "via " + want.Gateway.String(), Have: "missing"}
			}
		}
		return nil
	})
}
