package attach

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// An ipam type that is not built in is a plugin of others, for interfaces that are made here too: the giver of the network. It is executed as a
// main plugin would (CNI spec 1.1.0 section 4, delegation), with the main plugin's configuration: ADD before the interface is made, CHECK
// with it, DEL when it is gone, GC and STATUS with the rest.

// ask has the network's giver give addresses, once.
func (s *Server) ask(ctx context.Context, record Record, p *planned) error {
	if !p.answered {
		c := record.Chains[p.sel.IfName]
		result, err := s.Delegates.Add(ctx, record.delegateCall(p.sel.IfName, c, *p.net.Giver, record.NetNS, nil))
		if missing, ok := errors.AsType[*delegate.Missing](err); ok {
			return refusef(ipam.UnknownType, "install the plugin's binary on the node, or use an ipam type that is built in: "+strings.Join(ipam.Types(), ", "),
				"network-attachment-definition %s, ipam.type: %v", p.net.Ref, missing)
		}
		if err != nil {
			return err
		}
		if p.fixed, err = p.given(result); err != nil {
			return err
		}
		p.resolvers, p.answered = dnsOf(result.DNS), true
	}
	p.grants = slices.Clone(p.fixed)
	return nil
}

// given reads what a giver gave.
func (p planned) given(r *types100.Result) ([]ipam.Grant, error) {
	bad := func(format string, args ...any) error {
		return &delegate.Nonsense{Plugin: p.net.Giver.Type, Why: fmt.Sprintf(format, args...)}
	}
	var grants []ipam.Grant
	for i, ip := range r.IPs {
		prefix, _ := delegate.Prefix(ip.Address)
		x := prefix.Addr()
		if x.IsLoopback() || prefix.Bits() == 0 {
			return nil, bad("ips[%d]: %s cannot be the address of an interface", i, prefix)
		}
		if slices.ContainsFunc(grants, func(g ipam.Grant) bool { return g.Address.Addr() == x }) {
			return nil, bad("ips[%d]: %s is there twice", i, x)
		}
		g := ipam.Grant{Address: prefix}
		if gw, ok := netip.AddrFromSlice(ip.Gateway); ok {
			if g.Gateway = gw.Unmap(); g.Gateway.Is4() != x.Is4() || g.Gateway.IsUnspecified() || g.Gateway.IsMulticast() {
				return nil, bad("ips[%d]: %s cannot be the gateway of %s", i, g.Gateway, prefix)
			}
		}
		grants = append(grants, g)
	}
	if len(grants) == 0 {
		return nil, bad("it gave no address")
	}
	for _, ip := range p.sel.IPs {
		if !slices.ContainsFunc(grants, func(g ipam.Grant) bool { return g.Address.Addr() == ip.Addr }) {
			return nil, refusef(ReasonUnsupportedField, `add "capabilities":{"ips":true} to the plugin's configuration if the ipam plugin knows that, or use an ipam type that does`,
				"address %s is asked for, and ipam plugin %s gave %s", ip.Addr, p.net.Giver.Type, grants[0].Address.Addr())
		}
	}
	for i, route := range r.Routes {
		dst, _ := delegate.Prefix(route.Dst)
		of := slices.IndexFunc(grants, func(g ipam.Grant) bool { return g.Address.Addr().Is4() == dst.Addr().Is4() })
		if of < 0 {
			return nil, bad("routes[%d]: %s, and there is no address of that family", i, dst)
		}
		to := ipam.Route{Dst: dst.Masked(),
			RouteTuning: ipam.RouteTuning{MTU: route.MTU, AdvMSS: route.AdvMSS, Priority: route.Priority, Scope: route.Scope}}
		if route.Table != nil {
			to.Table = *route.Table
		}
		to = to.Via(grants[of].Gateway)
		if gw, ok := netip.AddrFromSlice(route.GW); ok {
			to.Gateway = gw.Unmap()
		}
		grants[of].Routes = append(grants[of].Routes, to)
	}
	return grants, nil
}

func dnsOf(d types.DNS) ipam.DNS {
	return ipam.DNS{Nameservers: d.Nameservers, Domain: d.Domain, Search: d.Search, Options: d.Options}
}

// toldDNS are the resolvers of a record with those that givers named. What a plugin's own configuration says comes first.
func toldDNS(record Record, plan []planned) map[string]ipam.DNS {
	all := maps.Clone(record.DNS)
	for _, p := range plan {
		if _, own := all[p.sel.IfName]; own || p.resolvers.Empty() {
			continue
		}
		if all == nil {
			all = map[string]ipam.DNS{}
		}
		all[p.sel.IfName] = p.resolvers
	}
	return all
}

// giveBack has the givers take back what they gave to interfaces of a record, which are gone.
func (s *Server) giveBack(ctx context.Context, record Record, path string) error {
	var errs []error
	for _, name := range record.Intended {
		c := record.Chains[name]
		if c.Giver == nil {
			continue
		}
		err := s.Delegates.Del(ctx, record.delegateCall(name, c, *c.Giver, path, record.prev(name)))
		if err == nil {
			continue
		}
		_, missing := errors.AsType[*delegate.Missing](err)
		if ctx.Err() == nil && (missing || record.prev(name) == nil || time.Since(record.Left) > patience) {
			s.Log.Error("an ipam plugin did not take back what it may have given", "plugin", c.Giver.Type, "container", record.ContainerID, "interface", name, "err", err)
			continue
		}
		errs = append(errs, fmt.Errorf("network %s (%s), ipam %s: %w", c.Network, name, c.Giver.Type, err))
	}
	return errors.Join(errs...)
}

// prev is what there was of an interface, in the form that plugins read; nil when it was never made.
func (r *Record) prev(name string) *types100.Result {
	i := slices.IndexFunc(r.Interfaces, func(w kind.Wired) bool { return w.IfName == name })
	if i < 0 {
		return nil
	}
	return resultOf(r.NetNS, r.Interfaces[i])
}

// checkGivers asks the givers whether interfaces have what they gave.
func (s *Server) checkGivers(ctx context.Context, record Record) error {
	var errs []error
	for _, name := range record.Intended {
		if c := record.Chains[name]; c.Giver != nil && !c.NoCheck {
			if err := s.Delegates.Check(ctx, record.delegateCall(name, c, *c.Giver, record.NetNS, record.prev(name))); err != nil {
				errs = append(errs, fmt.Errorf("network %s (%s), ipam %s: %w", c.Network, name, c.Giver.Type, err))
			}
		}
	}
	return errors.Join(errs...)
}
