package ipam

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Pool is a subnet and the addresses of it that may be given out.
//
// Never given out are: the gateway, what Exclude names, and the addresses
// that the subnet itself needs. In IPv4 these are the network and the
// broadcast address (RFC 1122 section 3.2.1.3), except in a /31, whose two
// addresses are hosts (RFC 3021), and a /32. In IPv6 it is the first address,
// the subnet-router anycast address (RFC 4291 section 2.6.1), except in a
// /127 (RFC 6164) and a /128.
type Pool struct {
	// Name of the IPPool object, or what an implicit pool is called in
	// messages and metrics.
	Name string
	// Domain is the address space: within it an address has one owner,
	// whatever pool it came from.
	Domain string
	Prefix netip.Prefix
	// Ranges limits the pool to these; empty means the whole Prefix.
	Ranges  []Range
	Exclude []Range
	// Statics are given only to who asks for them by number or by claim; they
	// may lie outside Ranges.
	Statics []Range
	Gateway netip.Addr
	Routes  []Route
	// BlockSize is the number of addresses leased at once; 0 lets it follow
	// from the size of the pool and the number of nodes.
	BlockSize int
	// Local says that the whole Prefix belongs to this node already
	// (Node.spec.podCIDRs), so that nothing is leased.
	Local bool
	// Whole gives out the addresses that the subnet needs too (an L3 segment).
	Whole bool
	// Whereabouts is set for a range of ipam type whereabouts.
	Whereabouts *WhereaboutsRange
	Policy

	spans   []Range // what may be given out to anybody: computed by parsed
	statics []Range // what may be given out to who asks for it
	total   int64   // how many are in spans
}

// WhereaboutsRange is how the plugin whereabouts knows a range.
type WhereaboutsRange struct {
	// Network is the network_name, "" for none.
	Network string
	// Reserves: an address is reserved over all ranges of the network too (enable_overlapping_ranges).
	Reserves bool
}

// Route is a route that comes with an address. An invalid Gateway means the
// route is on the link, or that the pool had none.
type Route struct {
	Dst     netip.Prefix
	Gateway netip.Addr
	RouteTuning
}

// RouteTuning is what a route may say besides where it leads (CNI spec 1.1.0 section 4, "routes"). 0 is the kernel's own choice.
type RouteTuning struct {
	// MTU and AdvMSS are in bytes, Priority is the metric.
	MTU      int `json:"mtu,omitempty"`
	AdvMSS   int `json:"advmss,omitempty"`
	Priority int `json:"priority,omitempty"`
	Table    int `json:"table,omitempty"`
	// Scope as in rtnetlink(7): 0 universe, 253 link, 254 host; nil is the kernel's own choice.
	Scope *int `json:"scope,omitempty"`
}

// scopeLink is RT_SCOPE_LINK: a destination on the segment itself.
const scopeLink = 253

// Via gives a route without a next hop the gateway, unless it is to lead nowhere else than to the segment.
func (r Route) Via(gateway netip.Addr) Route {
	if !r.Gateway.IsValid() && (r.Scope == nil || *r.Scope < scopeLink) {
		r.Gateway = gateway
	}
	return r
}

// LocalPool is a prefix that this node owns, less its first usable address,
// which is the node's own.
func LocalPool(name string, prefix netip.Prefix) Pool {
	p := Pool{Name: name, Domain: PodDomain, Prefix: prefix.Masked(), Local: true}
	if spans := p.usable(); len(spans) > 0 {
		p.Exclude = []Range{{spans[0].First, spans[0].First}}
	}
	return p.parsed()
}

// PodDomain is the domain of the pod network's own addresses.
const PodDomain = "pods"

// parsed returns the pool with its spans computed once.
func (p Pool) parsed() Pool {
	if p.spans == nil {
		p.spans = p.usable()
		p.statics = p.permitted()
		p.total = size(p.spans)
	}
	return p
}

// usable is the addresses that may be given out to anybody, in order.
func (p Pool) usable() []Range { return subtract(p.permitted(), p.Statics) }

// permitted is the addresses that may be given out to who asks for them.
func (p Pool) permitted() []Range {
	from := slices.Concat(p.Ranges, p.Statics)
	if len(p.Ranges) == 0 {
		from = []Range{RangeOf(p.Prefix)}
	}
	less := slices.Clone(p.Exclude)
	if p.Gateway.IsValid() {
		less = append(less, Range{p.Gateway, p.Gateway})
	}
	for _, a := range p.structural() {
		less = append(less, Range{a, a})
	}
	return subtract(from, less)
}

// structural are the addresses that the subnet itself needs.
func (p Pool) structural() []netip.Addr {
	all := RangeOf(p.Prefix)
	switch {
	case p.Whole, p.Prefix.Bits() >= p.Prefix.Addr().BitLen()-1:
		return nil
	case p.Prefix.Addr().Is4():
		return []netip.Addr{all.First, all.Last}
	default:
		return []netip.Addr{all.First}
	}
}

// Size is the number of addresses that may be given out, at most the largest
// int64.
func (p Pool) Size() int64 { return p.parsed().total }

// Contains tells whether the pool may give out a, to whoever asks for it.
func (p Pool) Contains(a netip.Addr) bool {
	statics := p.parsed().statics
	i, found := slices.BinarySearchFunc(statics, a, func(r Range, a netip.Addr) int { return r.First.Compare(a) })
	return found || i > 0 && statics[i-1].Contains(a)
}

// GivesAny tells whether the pool may give out a to who asks for any address.
func (p Pool) GivesAny(a netip.Addr) bool {
	spans := p.parsed().from(a)
	return len(spans) > 0 && spans[0].Contains(a)
}

// Refuse says why the pool may not give out a, or nil.
func (p Pool) Refuse(a netip.Addr) error {
	p = p.parsed()
	if p.Contains(a) {
		return nil
	}
	fix := "ask for one of " + list(p.statics) + ", or for none"
	refuse := func(reason, why string) error {
		return &Refusal{Reason: reason, Message: "address " + a.String() + " of pool " + p.Name + " " + why, Fix: fix}
	}
	switch {
	case !p.Prefix.Contains(a):
		return refuse(OutOfRange, "lies outside the subnet "+p.Prefix.String())
	case a == p.Gateway:
		return refuse(Excluded, "is the gateway")
	case slices.Contains(p.structural(), a):
		if a == p.Prefix.Masked().Addr() {
			return refuse(Excluded, "is the network address of "+p.Prefix.String())
		}
		return refuse(Excluded, "is the broadcast address of "+p.Prefix.String())
	}
	for _, e := range p.Exclude {
		if e.Contains(a) {
			return refuse(Excluded, "is excluded by "+e.String())
		}
	}
	return refuse(OutOfRange, "lies outside the pool's ranges "+list(slices.Concat(p.Ranges, p.Statics)))
}

// list names the first few ranges.
func list(ranges []Range) string {
	const most = 4
	var words []string
	for i, r := range ranges {
		if i == most {
			words = append(words, "…")
			break
		}
		words = append(words, r.String())
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// Grant is an address given to an interface.
type Grant struct {
	// Address with the length of its subnet.
	Address netip.Prefix
	Gateway netip.Addr
	Routes  []Route
	// Pool is the name of the pool, empty for an address that no pool manages.
	Pool string
	// MAC is what the interface should have with this address; empty is any.
	MAC net.HardwareAddr
	// Shared: another interface has the address too, that of the same virtual
	// machine on the node that it migrates from.
	Shared bool
}

// grant makes an address of the pool ready to use; the pool's routes without
// a next hop get the gateway.
func (p Pool) grant(a netip.Addr) Grant {
	g := Grant{Address: netip.PrefixFrom(a, p.Prefix.Bits()), Gateway: p.Gateway, Pool: p.Name, MAC: p.macFor(a)}
	for _, r := range p.Routes {
		g.Routes = append(g.Routes, r.Via(p.Gateway))
	}
	return g
}
