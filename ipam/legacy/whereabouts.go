package legacy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Whereabouts is what a cluster has of whereabouts. The definitions tell which
// network_name a pool's name begins with: names alone do not say.
type Whereabouts struct {
	Pools        []IPPool
	Reservations []Reservation
	Slices       []SlicePool
	Definitions  []Definition
	Nodes        []string
	// Names are the network_names of pools by namespace/name or name, said by
	// hand.
	Names map[string]string
}

// reader is one Read.
type reader struct {
	Whereabouts
	Found
	networks []network
	// by finds records by domain and address.
	by map[spot][]int
	// names are the network_names that pools or definitions have.
	names map[string]bool
	// reserved are the domains that have reservations.
	reserved map[string]bool
}

type spot struct {
	domain  string
	address netip.Addr
}

// Read turns the objects into records.
func (w Whereabouts) Read() Found {
	r := &reader{Whereabouts: w, by: map[spot][]int{}, names: map[string]bool{"": true}, reserved: map[string]bool{}}
	for _, d := range w.Definitions {
		n, err := d.networks()
		if err != nil {
			r.problem(Problem{Kind: Unreadable, Source: "NetworkAttachmentDefinition " + d.String(), Message: err.Error(), Fix: "correct it; pools of its network_name may not be recognised without it"})
		}
		r.networks = append(r.networks, n...)
	}
	for _, n := range r.networks {
		if n.kind == ipam.TypeWhereabouts {
			r.names[n.networkName] = true
		}
	}
	for _, p := range sorted(w.Pools, func(p IPPool) string { return p.String() }) {
		r.pool(p)
	}
	reservations := sorted(w.Reservations, func(o Reservation) string { return o.String() })
	for _, o := range reservations {
		r.reservation(o)
	}
	r.twice()
	r.unreserved()
	r.sort()
	return r.Found
}

func sorted[T any](all []T, name func(T) string) []T {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return all
}

// pool reads one IPPool.
func (r *reader) pool(p IPPool) {
	source := "IPPool " + p.String()
	base, err := parseRange(p.Spec.Range)
	if err != nil {
		r.problem(Problem{Kind: Unreadable, Source: source, Lost: len(p.Spec.Allocations) > 0,
			Message: fmt.Sprintf("spec.range %q: %v; %d allocations are not read", p.Spec.Range, err, len(p.Spec.Allocations)), Fix: "correct spec.range"})
		return
	}
	name, err := r.networkName(p, base)
	if err != nil {
		r.problem(Problem{Kind: UnknownNetwork, Source: source, Lost: len(p.Spec.Allocations) > 0,
			Message: fmt.Sprintf("%v; %d allocations are not read", err, len(p.Spec.Allocations)),
			Fix:     fmt.Sprintf("give its NetworkAttachmentDefinition too (kubectl get net-attach-def,nodes -A), or say it: --network-name %s=NAME, empty for none", p.String())})
		return
	}
	r.names[name] = true
	for _, offset := range sorted(keys(p.Spec.Allocations), func(s string) string { return s }) {
		if strings.HasPrefix(p.Spec.Allocations[offset].ID, Booked) {
			continue // tsunagu gave it out
		}
		r.allocation(source, name, base, offset, p.Spec.Allocations[offset], p.Spec.Range)
	}
}

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}

// parseRange reads spec.range. Offsets count from the address as it is written.
func parseRange(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()), nil
	}
	p, _, err := ipam.ParseSpan(text)
	return p, err
}

func (r *reader) allocation(source, name string, base netip.Prefix, offset string, a Allocation, text string) {
	source += " offset " + offset
	n, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || n < 0 {
		r.problem(Problem{Kind: Unreadable, Source: source, Lost: true, Message: fmt.Sprintf("%q is no offset; it stands for %s", offset, podOf(a.PodRef)),
			Fix: "remove it from the IPPool"})
		return
	}
	address, ok := plus(base.Addr(), uint64(n))
	if !ok || !base.Masked().Contains(address) {
		r.problem(Problem{Kind: OutsideRange, Source: source, Lost: true, Message: fmt.Sprintf("offset %d lies outside range %s; it stands for %s", n, text, podOf(a.PodRef)),
			Fix: "remove it from the IPPool"})
		return
	}
	one := Record{Origin: FromWhereabouts, Domain: ipam.DomainOf(name), Address: address, ContainerID: a.ID, IfName: a.IfName, Range: text, Source: source}
	one.Namespace, one.Pod = splitRef(a.PodRef)
	if one.Pod == "" && a.ID == "" {
		r.problem(Problem{Kind: Unreadable, Address: address, Source: source, Message: address.String() + " is allocated to neither a Pod nor a container",
			Fix: "none needed: it is taken over if a Pod has the address"})
	}
	if structural(base, address) && !slices.ContainsFunc(r.networks, func(n network) bool { return n.whole && n.covers(base) }) {
		r.problem(Problem{Kind: Structural, Address: address, Source: source,
			Message: fmt.Sprintf("%s is the network or the broadcast address of %s; it stands for %s", address, base.Masked(), podOf(a.PodRef)),
			Fix:     "replace that Pod when it suits; the address is not given out again"})
	}
	r.add(one)
}

func (r *reader) add(one Record) {
	at := spot{one.Domain, one.Address}
	r.by[at] = append(r.by[at], len(r.Records))
	r.Records = append(r.Records, one)
}

// splitRef reads namespace/name.
func splitRef(ref string) (namespace, pod string) {
	if namespace, pod, ok := strings.Cut(strings.TrimSpace(ref), "/"); ok {
		return namespace, pod
	}
	return "", strings.TrimSpace(ref)
}

func podOf(ref string) string {
	if ref == "" {
		return "no Pod"
	}
	return "Pod " + ref
}

// structural tells whether an address is the first or the last of its range.
func structural(base netip.Prefix, a netip.Addr) bool {
	if base.Bits() >= base.Addr().BitLen()-1 {
		return false
	}
	all := ipam.RangeOf(base.Masked())
	return a == all.First || a == all.Last
}

// plus is n addresses above a; false above the last one there is.
func plus(a netip.Addr, n uint64) (netip.Addr, bool) {
	b := a.As16()
	for i := 15; i >= 0 && n > 0; i-- {
		n += uint64(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	sum := netip.AddrFrom16(b)
	if a.Is4() {
		if !sum.Is4In6() {
			return a, false
		}
		sum = sum.Unmap()
	}
	return sum, n == 0 && a.Compare(sum) <= 0
}
