package attach

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/tsunagu-net/tsunagu/attach/dhcp"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Leases gets addresses of DHCP servers for interfaces that are wired, and keeps them (dhcp.Keeper).
type Leases interface {
	// Acquire gets all or nothing.
	Acquire(ctx context.Context, a dhcp.Ask) ([]dhcp.Lease, error)
	// Release gives back what an interface has, while it is there; nothing is fine.
	Release(ctx context.Context, key ipam.Key) error
	// Keys are the interfaces that have something.
	Keys() []ipam.Key
}

// Reasons of Events about leases.
const (
	ReasonLeaseLost    = "LeaseLost"
	ReasonLeaseChanged = "LeaseChanged"
)

// leased tells whether an interface gets its addresses of a server once it is wired.
func (p planned) leased() bool { return p.net.IPAM.DHCP != nil }

// leasable refuses dhcp where there is no segment that a server could be on.
func (p planned) leasable() error {
	if !p.leased() {
		return nil
	}
	switch p.net.Spec.(type) {
	case kind.Macvlan, kind.Bridge, kind.HostDevice:
		return nil
	}
	return refusef(ipam.BadConfig, "use macvlan, bridge or host-device, or another ipam type",
		"network-attachment-definition %s: ipam type dhcp needs a segment with a server, and %s has none", p.net.Ref, p.net.Spec.Type())
}

// leaseAll gets the addresses of all interfaces that ask a server, at once, and puts them on.
func (s *Server) leaseAll(ctx context.Context, record Record, plan []planned, pod Pod) (Record, error) {
	type answer struct {
		ask    dhcp.Ask
		leases []dhcp.Lease
		err    error
	}
	answers := make([]answer, len(plan))
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i, one := range plan {
		if one.leased() {
			answers[i].ask = one.ask(record, record.Interfaces[i], pod)
			all.Go(func() {
				a := &answers[i]
				a.leases, a.err = s.Leases.Acquire(asking, a.ask)
				switch {
				case a.err == nil:
				case errors.Is(context.Cause(asking), errOther):
					a.err = errOther // its server is not to blame
				default:
					cancel(errOther)
				}
			})
		}
	}
	all.Wait()
	errs := make([]error, len(plan))
	for i, a := range answers {
		if a.err != nil {
			errs[i] = fmt.Errorf("%s: %w", plan[i].where(), a.err)
		}
	}
	if err := foremost(errs); err != nil {
		return record, err
	}
	for i, a := range answers {
		if plan[i].leased() {
			var err error
			if record, err = s.settle(ctx, record, i, a.ask.Use, a.leases); err != nil {
				return record, fmt.Errorf("%s: %w", plan[i].where(), err)
			}
		}
	}
	return record, nil
}

// ask is what an interface asks of the servers of its segment.
func (p planned) ask(record Record, w kind.Wired, pod Pod) dhcp.Ask {
	c := p.net.IPAM.DHCP
	mac, _ := kind.ParseMAC(w.MAC) // the kernel's own word
	a := dhcp.Ask{
		Key:   ipam.Key{ContainerID: record.ContainerID, IfName: w.IfName},
		NetNS: record.NetNS, NetNSID: record.NetNSID, Index: w.IfIndex, MAC: mac, Network: p.net.Ref,
		ClientID: dhcp.ClientID(p.leaseOwner(record, pod), p.net.Name, w.IfName),
		V4:       c.V4, V6: c.V6, Request: c.Request,
		Use: dhcp.Use{Default: p.sel.WantsDefault, Needed: p.sel.WantsDefault && p.sel.Index > 0, Gateways: p.sel.DefaultRoute, Metric: c.Metric, MTU: p.net.MTU == 0},
	}
	for _, ip := range p.sel.IPs {
		a.Wishes = append(a.Wishes, ip.Addr)
	}
	args := map[string]string{"K8S_POD_NAMESPACE": pod.Namespace, "K8S_POD_NAME": pod.Name, "K8S_POD_UID": pod.UID, "K8S_POD_INFRA_CONTAINER_ID": record.ContainerID}
	for _, o := range c.Provide {
		value := o.Value
		if o.FromArg != "" {
			value = args[o.FromArg]
		}
		if value != "" {
			a.Provide(o.Code, value)
		}
	}
	return a
}

// leaseOwner is who a lease belongs to in the eyes of the server: the claim that is named, the Pod of a StatefulSet, whose addresses
// outlive it, else the sandbox.
func (p planned) leaseOwner(record Record, pod Pod) string {
	switch {
	case p.sel.Claim != "":
		return "claim/" + pod.Namespace + "/" + p.sel.Claim
	case pod.Owner.Kind == "StatefulSet":
		return pod.Namespace + "/" + pod.Name
	}
	return record.ContainerID
}

// settle makes an interface have what its leases say, and the record say so too.
func (s *Server) settle(ctx context.Context, record Record, i int, use dhcp.Use, leases []dhcp.Lease) (Record, error) {
	to, dns, err := layout(use, leases, record.taken(i))
	if err != nil {
		return record, err
	}
	record.Interfaces = slices.Clone(record.Interfaces)
	if record.Interfaces[i], err = s.Wirer.Readdress(ctx, record.NetNS, record.Interfaces[i], to); err != nil {
		return record, err
	}
	name := record.Interfaces[i].IfName
	record.DNS = maps.Clone(record.DNS)
	if delete(record.DNS, name); !dns.Empty() {
		if record.DNS == nil {
			record.DNS = map[string]ipam.DNS{}
		}
		record.DNS[name] = dns
	}
	return record, nil
}

// taken are the destinations that other interfaces of a sandbox lead to.
func (r *Record) taken(but int) []netip.Prefix {
	var all []netip.Prefix
	for i, w := range slices.Concat(r.Interfaces, r.others) {
		if i == but {
			continue
		}
		for _, route := range w.Routes {
			if route.Table == 0 && route.Priority == 0 {
				all = append(all, route.Dst)
			}
		}
	}
	return all
}

// Follow makes an interface have what its leases say now (dhcp.Follower).
func (s *Server) Follow(ctx context.Context, a dhcp.Ask, leases []dhcp.Lease, why string) error {
	release, err := s.sandboxes.take(ctx, a.Key.ContainerID)
	if err != nil {
		return err
	}
	defer release()
	record, ok := s.records.get(a.Key.ContainerID)
	i := slices.IndexFunc(record.Interfaces, func(w kind.Wired) bool { return w.IfName == a.Key.IfName })
	if !ok || record.State != Wired || i < 0 {
		return nil // it goes
	}
	if record, err = s.settle(ctx, record, i, a.Use, leases); err != nil {
		return err
	}
	record.Reported = false
	if err := s.records.put(record); err != nil {
		return err
	}
	s.reports.add(record)
	if why != "" {
		s.Events.Warn(record.pod(), ReasonLeaseLost, fmt.Sprintf("interface %s (network %s) lost its address: %s. Another is asked for. To fix: see that the DHCP server runs and has addresses", a.Key.IfName, a.Network, why))
		return nil
	}
	var has []string
	for _, l := range leases {
		has = append(has, l.Address.String())
	}
	s.Events.Note(record.pod(), ReasonLeaseChanged, fmt.Sprintf("interface %s (network %s) has %s now", a.Key.IfName, a.Network, joined(has)))
	return nil
}

// releaseLeases gives the leases of a sandbox back, while its interfaces are there.
func (s *Server) releaseLeases(ctx context.Context, record Record) error {
	errs := make([]error, len(record.Intended))
	var all sync.WaitGroup
	for i, name := range record.Intended {
		all.Go(func() { errs[i] = s.Leases.Release(ctx, ipam.Key{ContainerID: record.ContainerID, IfName: name}) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// sweepLeases gives back leases of interfaces that no record intends: the log of sandboxes was lost.
func (s *Server) sweepLeases(ctx context.Context, seen map[string]bool) error {
	var errs []error
	known, complete := s.Pods.Known()
	for _, key := range s.Leases.Keys() {
		if s.intends(key) || s.damaged && (!complete || len(known) > 0) || !s.abandoned("lease "+key.String(), seen) {
			continue
		}
		if release, ok := s.sandboxes.try(key.ContainerID); ok {
			if !s.intends(key) {
				errs = append(errs, s.Leases.Release(ctx, key))
			}
			release()
		}
	}
	return errors.Join(errs...)
}

// noLeases is an agent that asks no servers.
type noLeases struct{}

func (noLeases) Acquire(_ context.Context, a dhcp.Ask) ([]dhcp.Lease, error) {
	return nil, refusef(ipam.UnknownType, "use another ipam type", "network %s: this agent does not speak DHCP", a.Network)
}
func (noLeases) Release(context.Context, ipam.Key) error { return nil }
func (noLeases) Keys() []ipam.Key                        { return nil }
