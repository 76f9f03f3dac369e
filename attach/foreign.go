package attach

import (
	"context"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// primary attaches the first interface of a Pod when a plugin of others makes it. It comes before all others: they may stand on it, and
// whoever adds a default route later finds that there is one.
func (s *Server) primary(ctx context.Context, record Record, plan []planned) (Record, error) {
	if !plan[0].primary() {
		return record, nil
	}
	record.Interfaces = []kind.Wired{record.blank(plan[0])}
	record, err := s.chain(ctx, record, plan, 0, 1)
	if err != nil {
		return record, err
	}
	have, err := s.Wirer.Observe(ctx, record.NetNS)
	plan[0].was = have[plan[0].sel.IfName].Routes
	return record, err
}

// primary tells whether the interface is the Pod's first, and made by a plugin of others.
func (p planned) primary() bool { return p.sel.Index == 0 && p.net.Foreign() }

// blank is an interface that a plugin of others is going to make.
func (r *Record) blank(p planned) kind.Wired {
	return kind.Wired{ContainerID: r.ContainerID, IfName: p.sel.IfName, Network: p.net.Ref, Type: p.net.Spec.Type(), Foreign: true}
}

// place puts the interfaces that were made here among those that others make.
func (r *Record) place(plan []planned, made []kind.Wired) []kind.Wired {
	var all []kind.Wired
	for i, p := range plan {
		switch {
		case !p.net.Foreign():
			all, made = append(all, made[0]), made[1:]
		case i == 0 && p.primary():
			all = append(all, r.Interfaces[0])
		default:
			all = append(all, r.blank(p))
		}
	}
	return all
}

// secondary carries out what is left of all lists, and then decides by which interface the Pod leaves: plugins of others know nothing of
// each other, so that the last word is said when all are done.
func (s *Server) secondary(ctx context.Context, record Record, plan []planned) (Record, error) {
	first := 0
	if plan[0].primary() {
		first = 1
	}
	record, err := s.chain(ctx, record, plan, first, len(plan))
	if err != nil {
		return record, err
	}
	return record, s.leaveBy(ctx, record, plan)
}

// leaveBy moves the default routes where a plugin of others has one that is not to stay, or is to have one.
func (s *Server) leaveBy(ctx context.Context, record Record, plan []planned) error {
	keep := plan[0].keep
	if len(plan[0].was) > 0 && len(plan) > 1 { // an interface that is made here may have taken the default route
		if err := s.Wirer.Keep(ctx, record.NetNS, plan[0].sel.IfName, plan[0].was, keep); err != nil {
			return err
		}
	}
	for i, p := range plan {
		if i == 0 || !p.sel.WantsDefault || !p.net.Foreign() {
			continue
		}
		gateways := p.sel.DefaultRoute
		if len(gateways) == 0 {
			gateways = naturalGateways(record.Interfaces[i])
		}
		if len(gateways) == 0 {
			return refusef(ReasonBadDefaultRoute, "name it in default-route, or give the network's subnet a gateway",
				"%s: default-route is asked for without a gateway, and plugin %s gave none", p.sel.where(), p.net.Spec.Type())
		}
		if err := s.Wirer.Reroute(ctx, record.NetNS, p.sel.IfName, gateways, keep); err != nil {
			return err
		}
		record.Interfaces[i].Routes = withDefaults(record.Interfaces[i].Routes, gateways)
		for o := range record.Interfaces {
			if o != i {
				record.Interfaces[o].Routes = withoutDefaults(record.Interfaces[o].Routes, gateways)
			}
		}
	}
	return nil
}

// naturalGateways are those of an interface's own routes, else of its addresses, one per family.
func naturalGateways(w kind.Wired) []netip.Addr {
	var all []netip.Addr
	add := func(gw netip.Addr) {
		if gw.IsValid() && !slices.ContainsFunc(all, func(o netip.Addr) bool { return o.Is4() == gw.Is4() }) {
			all = append(all, gw)
		}
	}
	for _, r := range w.Routes {
		if r.Dst.Bits() == 0 {
			add(r.Gateway)
		}
	}
	for _, a := range w.Addresses {
		add(a.Gateway)
	}
	return all
}

func withDefaults(routes []kind.Route, gateways []netip.Addr) []kind.Route {
	routes = withoutDefaults(routes, gateways)
	for _, gw := range gateways {
		dst := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if gw.Is6() {
			dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		routes = append(routes, kind.Route{Dst: dst, Gateway: gw})
	}
	return routes
}

func withoutDefaults(routes []kind.Route, gateways []netip.Addr) []kind.Route {
	return slices.DeleteFunc(slices.Clone(routes), func(r kind.Route) bool {
		return r.Dst.Bits() == 0 && r.Table == 0 && slices.ContainsFunc(gateways, func(gw netip.Addr) bool { return gw.Is4() == r.Dst.Addr().Is4() })
	})
}
