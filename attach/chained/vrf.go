package chained

import (
	"fmt"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// VRF puts an interface into a VRF of its Pod: packets of the interfaces of one look routes up in its own table.
type VRF struct {
	Name string
	// Table is 0 for the one that the VRF has, or for the first that no VRF of the Pod has.
	Table uint32
}

// Type is the plugin's name.
func (VRF) Type() string { return "vrf" }

func parseVRF(raw []byte) (Spec, error) {
	f := readFields("vrf", "", raw)
	var v VRF
	f.into("vrfname", "a text", &v.Name)
	if v.Name == "" {
		f.fail("vrfname", "is missing: configuration is expected to have a valid vrf name")
	} else if !kind.ValidName(v.Name) {
		f.fail("vrfname", "%q cannot be the name of an interface: at most 15 bytes without space, '/' or ':'", v.Name)
	}
	f.into("table", "a whole number from 0 to 4294967295", &v.Table)
	return v, f.end()
}

// enslave puts the interface into the VRF, which is made if need be, with its addresses and routes.
func enslave(c Call, v VRF) (w kind.Wired, err error) {
	w = c.Wired
	err = inPod(c, func(conn *link.Conn, l link.Link) error {
		vrf, made, err := v.ensure(conn, l)
		if err != nil {
			return err
		}
		if err := join(conn, l, vrf); err != nil {
			none := 0
			conn.Each(link.Set(link.Change{Device: l.Name, Index: l.Index, Master: &none}))
			if made {
				conn.Each(link.DeleteIndex(vrf.Name, vrf.Index))
			}
			return err
		}
		w.Routes = slices.Clone(w.Routes)
		for i := range w.Routes {
			if w.Routes[i].Table == 0 {
				w.Routes[i].Table = int(vrf.Table)
			}
		}
		return nil
	})
	return w, err
}

// ensure finds the VRF or makes it. It refuses an interface that belongs to another one.
func (v VRF) ensure(conn *link.Conn, l link.Link) (vrf link.Link, made bool, err error) {
	links, err := conn.Links()
	if err != nil {
		return vrf, false, err
	}
	named := func(match func(link.Link) bool) int { return slices.IndexFunc(links, match) }
	at := named(func(o link.Link) bool { return o.Name == v.Name })
	if at >= 0 {
		vrf = links[at]
	}
	switch {
	case at >= 0 && vrf.Kind != "vrf":
		return vrf, false, kind.Conflict{Type: "vrf", Device: v.Name, Why: fmt.Sprintf("is a %s of the Pod, not a VRF", vrf.Kind)}
	case at >= 0 && v.Table != 0 && vrf.Table != v.Table:
		return vrf, false, kind.Conflict{Type: "vrf", Device: v.Name, Why: fmt.Sprintf("exists in the Pod with table %d, not %d", vrf.Table, v.Table)}
	case l.Master != 0 && l.Master != vrf.Index:
		other := fmt.Sprint(l.Master)
		if i := named(func(o link.Link) bool { return o.Index == l.Master }); i >= 0 {
			other = links[i].Name
		}
		return vrf, false, kind.Conflict{Type: "vrf", Device: l.Name, Why: "belongs to " + other + " already"}
	case at >= 0:
		return vrf, false, nil
	}
	table := v.Table
	if table == 0 {
		for table = 1; named(func(o link.Link) bool { return o.Kind == "vrf" && o.Table == table }) >= 0; table++ {
		}
	}
	err = conn.Apply(link.NewVRF(link.End{Name: v.Name}, table))
	if link.Unsupported(err) {
		return vrf, false, kind.KernelLacks{Type: "vrf", Module: "vrf", Option: "CONFIG_NET_VRF", Kernel: link.Release()}
	}
	if err != nil {
		return vrf, false, err
	}
	vrf, err = conn.ByName(v.Name)
	return vrf, true, err
}

// join makes the VRF the interface's master. The kernel takes the interface down and up for that, so that addresses of IPv6 and routes by
// gateways go: they come back, the routes in the VRF's table.
func join(conn *link.Conn, l, vrf link.Link) error {
	if l.Master == vrf.Index {
		return nil
	}
	before, err := conn.AddressesOf(l.Index)
	if err != nil {
		return err
	}
	routes, err := conn.RoutesOf(l.Index)
	if err != nil {
		return err
	}
	if err := conn.Apply(link.Set(link.Change{Device: l.Name, Index: l.Index, Master: &vrf.Index})); err != nil {
		return err
	}
	var ops []link.Op
	for _, a := range before {
		if a.Prefix.Addr().Is6() && !a.Prefix.Addr().IsLinkLocalUnicast() {
			ops = append(ops, link.AddAddress(l.Name, l.Index, a.Prefix, link.AddressOptions{}).Forgiving())
		}
	}
	const universe = 0
	for pass := range 2 { // those without a gateway first
		for _, r := range routes {
			own := r.Dst.Addr().Is6() && !r.Gateway.IsValid() && slices.ContainsFunc(before, func(a link.Address) bool { return a.Prefix.Masked() == r.Dst })
			if r.InMain() && r.Scope != nil && *r.Scope == universe && !own && !r.Dst.Addr().IsLinkLocalUnicast() && r.Gateway.IsValid() == (pass == 1) {
				r.Table = int(vrf.Table)
				ops = append(ops, link.ReplaceRoute(l.Name, r))
			}
		}
	}
	return conn.Apply(ops...)
}

// release takes the interface out of the VRF; one without interfaces goes.
func release(c Call, v VRF) error {
	return unlessGone(inPod(c, func(conn *link.Conn, l link.Link) error {
		vrf, err := conn.ByName(v.Name)
		if err != nil || vrf.Kind != "vrf" {
			return err
		}
		if l.Master == vrf.Index {
			none := 0
			if err := conn.Apply(link.Set(link.Change{Device: l.Name, Index: l.Index, Master: &none})); err != nil {
				return err
			}
		}
		left, err := conn.Ports(vrf.Index)
		if err != nil || len(left) > 0 {
			return err
		}
		return conn.Apply(link.DeleteIndex(vrf.Name, vrf.Index).Forgiving())
	}))
}

func checkVRF(c Call, v VRF) error {
	return inPod(c, func(conn *link.Conn, l link.Link) error {
		vrf, err := conn.ByName(v.Name)
		if link.Missing(err) {
			return kind.Mismatch{IfName: c.IfName, What: "VRF " + v.Name, Want: "present", Have: "missing"}
		}
		if err != nil {
			return err
		}
		if l.Master != vrf.Index {
			return kind.Mismatch{IfName: c.IfName, What: "the VRF", Want: v.Name, Have: "another, or none"}
		}
		return nil
	})
}
