package kind

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Foreign is an interface that a plugin of others makes. It cannot be wired, and Check, Mend and Unwire pass its record over.
type Foreign struct {
	plain
	// Plugin is the CNI plugin name.
	Plugin string
}

// Type is the plugin's name.
func (f Foreign) Type() string { return f.Plugin }

// DefaultGateways are unknown before the plugin has run.
func (Foreign) DefaultGateways([]Address) []netip.Addr { return nil }

func (f Foreign) check(*Attachment) error {
	return fmt.Errorf("an interface of plugin %s cannot be made here", f.Plugin)
}

// native leaves out the records of interfaces that others made.
func native(records []Record) []Record {
	if !slices.ContainsFunc(records, func(r Record) bool { return r.Foreign }) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.Foreign })
}

// Observed is an interface of a Pod as the kernel has it.
type Observed struct {
	Index     int
	MAC       string
	MTU       int
	Addresses []netip.Prefix
	Routes    []Route
}

// Observe looks at the interfaces of a sandbox.
func (w *Wirer) Observe(_ context.Context, nsPath string) (map[string]Observed, error) {
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	pod, err := link.Dial(ns)
	if err != nil {
		return nil, err
	}
	defer pod.Close()
	v, err := look(pod)
	if err != nil {
		return nil, err
	}
	all := map[string]Observed{}
	for _, l := range v.links {
		o := Observed{Index: l.Index, MAC: l.MAC.String(), MTU: l.MTU}
		for _, a := range v.addresses {
			if a.Index == l.Index && !a.Prefix.Addr().IsLinkLocalUnicast() {
				o.Addresses = append(o.Addresses, a.Prefix)
			}
		}
		for _, r := range v.routes {
			if r.Index == l.Index && r.InMain() {
				o.Routes = append(o.Routes, Route{Dst: r.Dst, Gateway: r.Gateway, Priority: r.Priority})
			}
		}
		all[l.Name] = o
	}
	return all, nil
}

// Reroute makes a Pod leave by an interface that is there already: all other default routes of the gateways' families go. Prefixes of
// keep lead where the default route of their family led before.
func (w *Wirer) Reroute(_ context.Context, nsPath, ifName string, gateways []netip.Addr, keep []netip.Prefix) error {
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return err
	}
	defer ns.Close()
	pod, err := link.Dial(ns)
	if err != nil {
		return err
	}
	defer pod.Close()
	to, err := pod.ByName(ifName)
	if err != nil {
		return err
	}
	v, err := look(pod)
	if err != nil {
		return err
	}
	return pod.Apply(v.reroute(to, gateways, keep)...)
}

func (v view) reroute(to link.Link, gateways []netip.Addr, keep []netip.Prefix) []link.Op {
	var ops []link.Op
	for _, gw := range gateways {
		for _, r := range v.routes {
			if !r.IsDefault() || !r.InMain() || r.Dst.Addr().Is4() != gw.Is4() || r.Index == to.Index && r.Gateway == gw {
				continue
			}
			name := fmt.Sprintf("interface %d", r.Index)
			ops = append(ops, link.DeleteRoute(name, r).Forgiving())
			if r.Index != to.Index {
				ops = append(ops, keepOps(name, r, keep)...)
			}
		}
		dst := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if gw.Is6() {
			dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		ops = append(ops, link.ReplaceRoute(to.Name, link.Route{Index: to.Index, Dst: dst, Gateway: gw}))
	}
	return ops
}

// Keep leads prefixes the way that a default route led which is no longer there. Destinations that have a route keep it.
func (w *Wirer) Keep(_ context.Context, nsPath, ifName string, was []Route, keep []netip.Prefix) error {
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return err
	}
	defer ns.Close()
	pod, err := link.Dial(ns)
	if err != nil {
		return err
	}
	defer pod.Close()
	from, err := pod.ByName(ifName)
	if err != nil {
		return err
	}
	v, err := look(pod)
	if err != nil {
		return err
	}
	var ops []link.Op
	for _, r := range was {
		still := slices.ContainsFunc(v.routes, func(o link.Route) bool { return o.Index == from.Index && o.Dst == r.Dst && o.Gateway == r.Gateway })
		if r.Dst.Bits() == 0 && !still {
			ops = append(ops, keepOps(ifName, link.Route{Index: from.Index, Dst: r.Dst, Gateway: r.Gateway}, keep)...)
		}
	}
	return pod.Apply(ops...)
}

// keepOps lead prefixes where a default route led.
func keepOps(device string, was link.Route, keep []netip.Prefix) []link.Op {
	var ops []link.Op
	for _, p := range keep {
		if p.Addr().Is4() == was.Dst.Addr().Is4() {
			ops = append(ops, link.AddRoute(device, link.Route{Index: was.Index, Dst: p, Gateway: was.Gateway, OnLink: was.OnLink}).Forgiving())
		}
	}
	return ops
}
