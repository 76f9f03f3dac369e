package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// errOther calls off the plugins of a Pod when one of them has failed.
var errOther = errors.New("another network of the Pod could not be attached")

// chain carries out the steps of the interfaces of a record from the one numbered first to the one before last: the interfaces at the
// same time, unless one must come after another (after), the steps of each one in the order of the list. What is done stands in the record
// that it gives back, also with an error.
func (s *Server) chain(ctx context.Context, record Record, plan []planned, first, last int) (Record, error) {
	type outcome struct {
		wired kind.Wired
		chain chainRecord
		err   error
	}
	outcomes := make([]outcome, last)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	names, done := make([]string, last), make([]chan struct{}, last)
	for i, w := range record.Interfaces[:last] {
		names[i], done[i] = w.IfName, make(chan struct{})
	}
	order := after(names, record.Chains)
	for i := first; i < last; i++ {
		w := record.Interfaces[i]
		c, ok := record.Chains[w.IfName]
		if !ok {
			continue
		}
		c.Steps = slices.Clone(c.Steps)
		all.Go(func() {
			defer close(done[i])
			o := &outcomes[i]
			o.chain = c
			for _, before := range order[i] {
				if before >= first {
					<-done[before] // it ends soon when it is called off
				}
			}
			if o.err = context.Cause(ctx); o.err != nil {
				return
			}
			if o.wired, o.err = s.carry(ctx, record, &o.chain, w, plan[i]); o.err != nil {
				cancel(errOther)
			}
		})
	}
	all.Wait()
	record.Interfaces, record.Chains = slices.Clone(record.Interfaces), maps.Clone(record.Chains)
	var errs []error
	for i, o := range outcomes {
		if o.chain.Steps == nil {
			continue
		}
		record.Chains[record.Interfaces[i].IfName] = o.chain
		if errs = append(errs, o.err); o.err == nil {
			record.Interfaces[i] = o.wired
		}
	}
	return record, foremost(errs)
}

// carry carries out the steps on one interface.
func (s *Server) carry(ctx context.Context, record Record, c *chainRecord, w kind.Wired, p planned) (kind.Wired, error) {
	var result *types100.Result
	if c.foreign() && !c.headed() {
		result = resultOf(record.NetNS, w)
	}
	for n := range c.Steps {
		step := &c.Steps[n]
		fail := func(err error) (kind.Wired, error) {
			return w, fmt.Errorf("network %s (%s), %s: %w", c.Network, w.IfName, step.Type, err)
		}
		if !step.Foreign {
			now, state, err := s.Chained.Add(ctx, record.call(w, *c, record.NetNS), step.Chained)
			if err != nil {
				return fail(err)
			}
			w, step.State = now, state
			amend(result, w)
			continue
		}
		given, err := s.Delegates.Add(ctx, record.delegateCall(w.IfName, *c, step.Step, record.NetNS, result))
		if err != nil {
			return fail(err)
		}
		result = given
		if w, err = s.understand(ctx, record, w, result, *step); err != nil {
			return fail(err)
		}
	}
	if result == nil {
		return w, nil
	}
	if err := p.granted(w); err != nil {
		return w, err
	}
	var err error
	if c.Result, err = json.Marshal(result); err != nil {
		return w, err
	}
	if path := c.deviceFile(); path != "" {
		if c.Device, err = s.Delegates.Device(path); err != nil {
			return w, fmt.Errorf("network %s (%s): %w", c.Network, w.IfName, err)
		}
	}
	return w, nil
}

// amend brings a result up to what a built-in step has made of the interface.
func amend(r *types100.Result, w kind.Wired) {
	if r == nil {
		return
	}
	for _, one := range r.Interfaces {
		if one.Name == w.IfName && one.Sandbox != "" {
			one.Mac, one.Mtu = w.MAC, w.MTU
		}
	}
}

// understand compares a plugin's result with the Pod's interfaces, and takes over from both what the interface is now.
func (s *Server) understand(ctx context.Context, record Record, w kind.Wired, r *types100.Result, step stepRecord) (kind.Wired, error) {
	have, err := s.Wirer.Observe(ctx, record.NetNS)
	if err != nil {
		return w, err
	}
	seen, there := have[w.IfName]
	at := slices.IndexFunc(r.Interfaces, func(o *types100.Interface) bool { return o.Name == w.IfName && o.Sandbox != "" })
	if !there && (at >= 0 || len(r.IPs) > 0 && step.Head) {
		return w, &delegate.Nonsense{Plugin: step.Type, Why: fmt.Sprintf("there is no interface %s in the Pod, which has %s", w.IfName, joined(slices.Sorted(maps.Keys(have))))}
	}
	if step.Head {
		w.Foreign, w.Type = true, step.Type
		w.Addresses, w.Routes = nil, nil
		for _, ip := range r.IPs {
			if n := ip.Interface; n != nil && *n != at && at >= 0 {
				continue
			}
			p, _ := delegate.Prefix(ip.Address)
			a := kind.Address{Prefix: p}
			if gw, ok := netip.AddrFromSlice(ip.Gateway); ok {
				a.Gateway = gw.Unmap()
			}
			has := slices.ContainsFunc(seen.Addresses, func(o netip.Prefix) bool { return o.Addr() == p.Addr() })
			if len(seen.Addresses) > 0 && !has {
				return w, &delegate.Nonsense{Plugin: step.Type, Why: fmt.Sprintf("address %s is not on interface %s, which has %s", p, w.IfName, texts(seen.Addresses))}
			}
			w.Addresses = append(w.Addresses, a)
		}
		for _, route := range r.Routes {
			dst, _ := delegate.Prefix(route.Dst)
			to := kind.Route{Dst: dst, MTU: route.MTU, AdvMSS: route.AdvMSS, Priority: route.Priority, Scope: route.Scope}
			if gw, ok := netip.AddrFromSlice(route.GW); ok {
				to.Gateway = gw.Unmap()
			}
			if route.Table != nil {
				to.Table = *route.Table
			}
			w.Routes = append(w.Routes, to)
		}
		for _, one := range r.Interfaces {
			if one.Sandbox == "" && w.HostIf == "" {
				w.HostIf, w.HostMAC = one.Name, one.Mac
			}
		}
	}
	if there {
		w.MAC, w.MTU, w.IfIndex = seen.MAC, seen.MTU, seen.Index
	} else if at >= 0 {
		w.MAC, w.MTU = r.Interfaces[at].Mac, r.Interfaces[at].Mtu
	}
	return w, nil
}

func texts(prefixes []netip.Prefix) string {
	var all []string
	for _, p := range prefixes {
		all = append(all, p.String())
	}
	return joined(all)
}

// granted tells whether plugins of others gave what the Pod asks for: one that does not know an argument passes it over.
func (p planned) granted(w kind.Wired) error {
	if !w.Foreign {
		return nil
	}
	for _, ip := range p.sel.IPs {
		if !slices.ContainsFunc(w.Addresses, func(a kind.Address) bool { return a.Prefix.Addr() == ip.Addr }) {
			var have []string
			for _, a := range w.Addresses {
				have = append(have, a.Prefix.String())
			}
			return refusef(ReasonUnsupportedField, `add "capabilities":{"ips":true} to the plugin's configuration if it knows that, or use an ipam type that does`,
				"network %s (%s): address %s is asked for, and plugin %s gave %s", p.net.Ref, w.IfName, ip.Addr, w.Type, joined(have))
		}
	}
	if mac := p.sel.MAC; len(mac) > 0 {
		if have, err := net.ParseMAC(w.MAC); err != nil || !strings.EqualFold(have.String(), mac.String()) {
			return refusef(ReasonUnsupportedField, `add "capabilities":{"mac":true} to the plugin's configuration if it knows that, or a tuning with it behind the plugin`,
				"network %s (%s): MAC address %s is asked for, and plugin %s made one with %s", p.net.Ref, w.IfName, mac, w.Type, w.MAC)
		}
	}
	return nil
}
