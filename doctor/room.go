package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// span is the addresses from first to last.
type span struct{ first, last netip.Addr }

func (s span) holds(a netip.Addr) bool { return s.first.Compare(a) <= 0 && a.Compare(s.last) <= 0 }

func (s span) String() string {
	if s.first == s.last {
		return s.first.String()
	}
	return s.first.String() + "-" + s.last.String()
}

// room is the addresses that a pool gives out.
type room struct {
	prefix  netip.Prefix
	ranges  []span
	exclude []span
	gateway netip.Addr
}

// parseRoom reads what a pool gives out.
func parseRoom(p *v1alpha1.IPPool) (room, error) {
	prefix, err := netip.ParsePrefix(p.Spec.CIDR)
	if err != nil {
		return room{}, fmt.Errorf("spec.cidr %q is not an address and prefix length", p.Spec.CIDR)
	}
	r := room{prefix: prefix.Masked()}
	for _, text := range p.Spec.Ranges {
		s, err := parseSpan(text)
		if err != nil {
			return room{}, fmt.Errorf("spec.ranges: %w", err)
		}
		r.ranges = append(r.ranges, s)
	}
	if len(r.ranges) == 0 {
		r.ranges = []span{spanOf(r.prefix)}
	}
	for _, text := range p.Spec.Exclude {
		s, err := parseSpan(text)
		if err != nil {
			return room{}, fmt.Errorf("spec.exclude: %w", err)
		}
		r.exclude = append(r.exclude, s)
	}
	if p.Spec.Gateway != "" {
		if r.gateway, err = netip.ParseAddr(p.Spec.Gateway); err != nil {
			return room{}, fmt.Errorf("spec.gateway %q is not an address", p.Spec.Gateway)
		}
	}
	return r, nil
}

// parseSpan reads "first-last", a prefix or an address.
func parseSpan(text string) (span, error) {
	if first, last, ok := strings.Cut(text, "-"); ok {
		a, err := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		if err := cmp.Or(err, err2); err != nil {
			return span{}, fmt.Errorf("%q is not first-last", text)
		}
		if b.Less(a) {
			return span{}, fmt.Errorf("%q ends before it begins", text)
		}
		return span{a, b}, nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return spanOf(prefix.Masked()), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return span{}, fmt.Errorf("%q is neither an address, a prefix nor first-last", text)
	}
	return span{a, a}, nil
}

// spanOf is all of a prefix.
func spanOf(p netip.Prefix) span {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return span{p.Addr(), end}
}

// why says why a pool does not give out an address, or "".
func (r room) why(a netip.Addr) string {
	switch {
	case !r.prefix.Contains(a):
		return "outside " + r.prefix.String()
	case a == r.gateway:
		return "the gateway"
	}
	for _, e := range r.exclude {
		if e.holds(a) {
			return "excluded by " + e.String()
		}
	}
	all := spanOf(r.prefix)
	if r.prefix.Bits() < a.BitLen()-1 && (a == all.first || a.Is4() && a == all.last) {
		return "the subnet's network or broadcast address"
	}
	for _, s := range r.ranges {
		if s.holds(a) {
			return ""
		}
	}
	return "outside the ranges"
}

// gives tells whether a pool gives out an address.
func (r room) gives(a netip.Addr) bool { return r.why(a) == "" }

// overlap returns the first addresses that both offer, excludes left aside.
func (r room) overlap(other room) (span, bool) {
	for _, a := range r.ranges {
		for _, b := range other.ranges {
			first, last := a.first, a.last
			if first.Less(b.first) {
				first = b.first
			}
			if b.last.Less(last) {
				last = b.last
			}
			if first.BitLen() == last.BitLen() && a.first.BitLen() == b.first.BitLen() && !last.Less(first) {
				return span{first, last}, true
			}
		}
	}
	return span{}, false
}

// WhyNot says why a pool does not give out an address, such as "the gateway";
// "" means that it does.
func WhyNot(p *v1alpha1.IPPool, a netip.Addr) string {
	r, err := parseRoom(p)
	if err != nil {
		return err.Error()
	}
	return r.why(a)
}
