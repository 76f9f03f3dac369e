package legacy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// reservation reads one reservation and holds it against the pools.
func (r *reader) reservation(o Reservation) {
	source := "OverlappingRangeIPReservation " + o.String()
	if strings.HasPrefix(o.Spec.ContainerID, Booked) {
		return // tsunagu gave it out
	}
	at, err := r.reservedSpot(o)
	if err != nil {
		r.problem(Problem{Kind: UnknownNetwork, Source: source, Lost: true, Message: fmt.Sprintf("%v; it stands for %s", err, podOf(o.Spec.PodRef)),
			Fix: "give the NetworkAttachmentDefinitions too; it is not needed if an IPPool has the address"})
		return
	}
	r.reserved[at.domain] = true
	one := Record{Origin: FromWhereabouts, Domain: at.domain, Address: at.address, ContainerID: o.Spec.ContainerID, IfName: o.Spec.IfName, Source: source}
	one.Namespace, one.Pod = splitRef(o.Spec.PodRef)
	pooled := r.by[at]
	if len(pooled) == 0 {
		r.problem(Problem{Kind: Unpooled, Address: at.address, Source: source,
			Message: fmt.Sprintf("%s is reserved for %s, and no IPPool has it", at.address, podOf(o.Spec.PodRef)),
			Fix:     "none needed: it is taken over if that Pod lives"})
		r.add(one)
		return
	}
	for _, i := range pooled {
		if p := &r.Records[i]; p.Namespace == one.Namespace && p.Pod == one.Pod {
			if p.ContainerID == "" {
				p.ContainerID = one.ContainerID
			}
			if p.IfName == "" {
				p.IfName = one.IfName
			}
			return
		}
	}
	r.problem(Problem{Kind: Disagree, Address: at.address, Source: source,
		Message: fmt.Sprintf("%s is reserved for %s, and %s gives it to %s", at.address, podOf(o.Spec.PodRef), r.Records[pooled[0]].Source, r.Records[pooled[0]].owner()),
		Fix:     "none needed if one of the two is gone; else both Pods have the address: delete one of them"})
	r.add(one)
}

// reservedSpot reads [network_name-]address. The dashes of an IPv6 address are
// also those of the name, so each place where the name may end is tried.
func (r *reader) reservedSpot(o Reservation) (spot, error) {
	var all []spot
	for i := -1; i < len(o.Name); i++ {
		if i >= 0 && o.Name[i] != '-' {
			continue
		}
		name, rest := "", o.Name
		if i >= 0 {
			name, rest = o.Name[:i], o.Name[i+1:]
		}
		if i == 0 {
			continue
		}
		if a, ok := undashed(rest); ok {
			all = append(all, spot{name, a})
		}
	}
	if len(all) == 0 {
		return spot{}, fmt.Errorf("the name holds no address")
	}
	named := func(s spot) spot { return spot{ipam.DomainOf(s.domain), s.address} }
	if len(all) == 1 && (all[0].address.Is4() || r.names[all[0].domain]) {
		return named(all[0]), nil
	}
	// The one that a pool has for the same Pod, then one that a pool has, then
	// one of a network_name that is known.
	namespace, pod := splitRef(o.Spec.PodRef)
	for _, fits := range []func(spot) bool{
		func(s spot) bool {
			return slices.ContainsFunc(r.by[named(s)], func(i int) bool { return r.Records[i].Pod == pod && r.Records[i].Namespace == namespace })
		},
		func(s spot) bool { return len(r.by[named(s)]) > 0 },
		func(s spot) bool {
			return slices.ContainsFunc(r.networks, func(n network) bool {
				return n.kind == ipam.TypeWhereabouts && n.networkName == s.domain && n.contains(s.address)
			})
		},
	} {
		var fit []spot
		for _, s := range all {
			if fits(s) {
				fit = append(fit, s)
			}
		}
		if len(fit) == 1 {
			return named(fit[0]), nil
		}
	}
	return spot{}, fmt.Errorf("the name may be any of %d addresses", len(all))
}

// undashed reads an address with dashes in the place of colons.
func undashed(text string) (netip.Addr, bool) {
	if strings.Contains(text, ".") && !strings.Contains(text, "-") {
		a, err := netip.ParseAddr(text)
		return a.Unmap(), err == nil && a.Is4()
	}
	if strings.Contains(text, ":") || !strings.Contains(text, "-") {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.ReplaceAll(text, "-", ":"))
	return a.Unmap(), err == nil && a.Zone() == ""
}

// twice tells of addresses that two pools have.
func (r *reader) twice() {
	for at, places := range r.by {
		first := r.Records[places[0]]
		for _, i := range places[1:] {
			if other := r.Records[i]; strings.HasPrefix(other.Source, "IPPool") {
				r.problem(Problem{Kind: Twice, Address: at.address, Source: other.Source,
					Message: fmt.Sprintf("%s stands for %s, and in %s for %s", at.address, other.owner(), first.Source, first.owner()),
					Fix:     "none needed if one of the two is gone; else both have the address: delete one of them"})
			}
		}
	}
}

// unreserved tells of allocations that have no reservation although others of
// their domain have one.
func (r *reader) unreserved() {
	have := map[spot]bool{}
	for _, o := range r.Reservations {
		if at, err := r.reservedSpot(o); err == nil {
			have[at] = true
		}
	}
	alone := map[string]bool{}
	for _, n := range r.networks {
		if n.alone {
			alone[ipam.DomainOf(n.networkName)] = true
		}
	}
	for _, one := range r.Records {
		at := spot{one.Domain, one.Address}
		if !r.reserved[one.Domain] || alone[one.Domain] || have[at] {
			continue
		}
		r.problem(Problem{Kind: Unreserved, Address: one.Address, Source: one.Source,
			Message: fmt.Sprintf("%s of %s has no OverlappingRangeIPReservation: an overlapping range may have given it out too", one.Address, one.owner()),
			Fix:     "none needed: tsunagu needs no reservations"})
	}
}
