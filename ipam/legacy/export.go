package legacy

import (
	"cmp"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Exported is what whereabouts is to know of addresses that are in use.
type Exported struct {
	Pools        []IPPool
	Reservations []Reservation
	// Problems are addresses that whereabouts cannot be told of.
	Problems []Problem
}

// InUse are the records of the addresses that live Pods have on networks of
// whereabouts, and the problems of those that cannot be known. The container is
// known where an IPAddress says it.
func InUse(w World) Found {
	p := &planner{World: w, byName: map[string]*Pod{}, shown: map[spot][]claim{}, networks: map[string][]network{}, bound: map[spot]*ipam.Address{}}
	p.look()
	var f Found
	for i := range w.Pods {
		if pod := &w.Pods[i]; !pod.Finished {
			p.inUse(pod, &f)
		}
	}
	f.sort()
	return f
}

func (p *planner) inUse(pod *Pod, f *Found) {
	source := "network-status of Pod " + pod.String()
	if pod.Unsaid && pod.Node != "" && len(p.networks) > 0 {
		f.problem(Problem{Kind: Unreadable, Source: source, Lost: true, Message: "it is missing or cannot be read, so it is not known whether the Pod has addresses",
			Fix: "none needed if it is on no network but the cluster's own"})
	}
	for _, on := range pod.Interfaces {
		for _, n := range p.networks[on.Network] {
			if n.kind != ipam.TypeWhereabouts {
				continue
			}
			for _, a := range on.Addresses {
				at := spot{ipam.DomainOf(n.networkName), a}
				i := slices.IndexFunc(n.ranges, func(r netip.Prefix) bool { return r.Contains(a) })
				if i < 0 {
					continue // of another ipam section, or written by hand
				}
				one := Record{Origin: FromPods, Domain: at.domain, Address: a, Namespace: pod.Namespace, Pod: pod.Name, IfName: on.Name, Range: n.ranges[i].String(), Source: source}
				if b := p.bound[at]; b != nil && b.Owner.UID == pod.UID {
					one.ContainerID = b.Owner.ContainerID
				}
				f.Records = append(f.Records, one)
			}
		}
	}
}

// Export says how whereabouts writes records, which must have a Range: the
// inverse of Whereabouts.Read. The objects are in namespace.
func Export(records []Record, definitions []Definition, parts []SlicePool, namespace string) Exported {
	x := &exporter{namespace: namespace, parts: parts, pools: map[string]*IPPool{}, reserved: map[string]Record{}}
	for _, d := range definitions {
		n, _ := d.networks() // those that cannot be read have no records
		x.networks = append(x.networks, n...)
	}
	for _, r := range records {
		if err := x.add(r); err != nil {
			x.Problems = append(x.Problems, Problem{Kind: UnknownNetwork, Address: r.Address, Source: r.Source, Lost: true,
				Message: fmt.Sprintf("%s of %s is not written: %v", r.Address, r.owner(), err), Fix: "replace that Pod before whereabouts gives out addresses"})
		}
	}
	for _, p := range x.pools {
		x.Pools = append(x.Pools, *p)
	}
	x.Pools = sorted(x.Pools, func(p IPPool) string { return p.Name })
	x.Reservations = sorted(x.Reservations, func(o Reservation) string { return o.Name })
	return x.Exported
}

// exporter is one Export.
type exporter struct {
	Exported
	namespace string
	networks  []network
	parts     []SlicePool
	pools     map[string]*IPPool
	reserved  map[string]Record
}

func (x *exporter) add(r Record) error {
	n, base, err := x.network(r)
	if err != nil {
		return err
	}
	name := PoolName(n.networkName, base)
	if n.sliced {
		if name, base, err = x.slice(n, r.Address); err != nil {
			return err
		}
	}
	distance := new(big.Int).Sub(number(r.Address), number(base.Addr()))
	if !distance.IsInt64() {
		return fmt.Errorf("it is %s addresses above the first of %s, and whereabouts counts to 2^63", distance, base)
	}
	offset := distance.String()
	p := x.pools[name]
	if p == nil {
		p = &IPPool{Meta: Meta{Namespace: x.namespace, Name: name}}
		p.Spec.Range, p.Spec.Allocations = base.String(), map[string]Allocation{}
		x.pools[name] = p
	}
	if other, ok := p.Spec.Allocations[offset]; ok {
		return fmt.Errorf("%s has it too", podOf(other.PodRef))
	}
	ref := strings.TrimPrefix(r.Namespace+"/"+r.Pod, "/")
	if !n.alone {
		// One reservation stands for all ranges of the network_name.
		name := ReservationName(n.networkName, r.Address)
		if other, ok := x.reserved[name]; ok {
			return fmt.Errorf("%s has it too", other.owner())
		}
		x.reserved[name] = r
		o := Reservation{Meta: Meta{Namespace: x.namespace, Name: name}}
		o.Spec.ContainerID, o.Spec.PodRef, o.Spec.IfName = r.ContainerID, ref, r.IfName
		x.Reservations = append(x.Reservations, o)
	}
	p.Spec.Allocations[offset] = Allocation{ID: r.ContainerID, PodRef: ref, IfName: r.IfName}
	return nil
}

// network finds the definition's network that a record is of.
func (x *exporter) network(r Record) (network, netip.Prefix, error) {
	base, err := parseRange(r.Range)
	if err != nil {
		return network{}, base, fmt.Errorf("its range %q: %w", r.Range, err)
	}
	base = base.Masked()
	for _, n := range x.networks {
		if n.kind == ipam.TypeWhereabouts && ipam.DomainOf(n.networkName) == r.Domain && n.covers(base) && base.Contains(r.Address) {
			return n, base, nil
		}
	}
	return network{}, base, fmt.Errorf("no NetworkAttachmentDefinition of whereabouts has range %s in domain %s", base, r.Domain)
}

// slice finds the pool of the node's slice that an address lies in.
func (x *exporter) slice(n network, a netip.Addr) (string, netip.Prefix, error) {
	for _, s := range x.parts {
		if s.Name != cmp.Or(n.networkName, n.name) {
			continue
		}
		for _, part := range s.Status.Allocations {
			if base, err := parseRange(part.SliceRange); err == nil && part.NodeName != "" && base.Contains(a) {
				return named(n.networkName, part.NodeName+"-"+dashes(part.SliceRange)), base, nil
			}
		}
	}
	return "", netip.Prefix{}, fmt.Errorf("no NodeSlicePool %s has a node's slice with it", cmp.Or(n.networkName, n.name))
}

func number(a netip.Addr) *big.Int { return new(big.Int).SetBytes(a.AsSlice()) }
