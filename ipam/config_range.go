package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// pool makes the implicit pool of one range. field is what errors put before
// the names of fields.
func (s section) pool(field string, r ipRange) (Pool, error) {
	wrong := func(name, value string, err error) (Pool, error) {
		return Pool{}, bad(fmt.Sprintf("%s%s %q: %v", field, name, value, err), "correct the range")
	}
	p := Pool{Domain: domainOf(s.Network), Whole: s.Whole}
	prefix, limits, err := ParseSpan(r.Range)
	if err != nil {
		return wrong("range", r.Range, err)
	}
	p.Prefix = prefix
	if s.Type == TypeWhereabouts {
		p.Whereabouts = &WhereaboutsRange{Network: s.Network, Reserves: s.Apart == nil || *s.Apart}
	}
	first, last := limits.First, limits.Last
	if r.RangeStart != "" {
		if first, err = inside(prefix, r.RangeStart); err != nil {
			return wrong("range_start", r.RangeStart, err)
		}
	}
	if r.RangeEnd != "" {
		if last, err = inside(prefix, r.RangeEnd); err != nil {
			return wrong("range_end", r.RangeEnd, err)
		}
	}
	if last.Less(first) {
		return wrong("range_end", last.String(), fmt.Errorf("lies below the start of the range, %s", first))
	}
	p.Ranges = []Range{{first, last}}
	for i, text := range r.Exclude {
		e, err := ParseRange(text)
		if err == nil && e.First.BitLen() != prefix.Addr().BitLen() {
			err = fmt.Errorf("is of another address family than the range %s", prefix)
		}
		if err != nil {
			return wrong(fmt.Sprintf("exclude[%d]", i), text, err)
		}
		p.Exclude = append(p.Exclude, e)
	}
	if all := RangeOf(prefix); s.Type == TypeWhereabouts && !s.Whole && prefix.Addr().Is6() && prefix.Bits() < 127 {
		// whereabouts keeps the last address of an IPv6 range from Pods too.
		p.Exclude = append(p.Exclude, Range{all.Last, all.Last})
	}
	p.Name = p.Domain + ":" + prefix.String()
	if limits := RangeOf(prefix); first != limits.First || last != limits.Last {
		p.Name = p.Domain + ":" + p.Ranges[0].String()
	}
	return p, nil
}

// ParseSpan reads a range of whereabouts: a CIDR, whose host bits do not
// count, or first-last/length.
func ParseSpan(text string) (netip.Prefix, Range, error) {
	first, rest, ok := strings.Cut(text, "-")
	if !ok {
		p, err := parsePrefix(text)
		if err != nil {
			return p, Range{}, err
		}
		return p.Masked(), RangeOf(p), nil
	}
	p, err := parsePrefix(rest)
	if err != nil {
		return p, Range{}, fmt.Errorf("must be first-last/length or a CIDR: %w", err)
	}
	a, err := inside(p.Masked(), first)
	if err != nil {
		return p, Range{}, err
	}
	if p.Addr().Less(a) {
		return p, Range{}, fmt.Errorf("%s is above %s: write the lower address first", a, p.Addr())
	}
	return p.Masked(), Range{a, p.Addr()}, nil
}

func inside(prefix netip.Prefix, text string) (netip.Addr, error) {
	a, err := parseAddr(text)
	if err != nil {
		return a, err
	}
	if !prefix.Contains(a) {
		return a, fmt.Errorf("lies outside the range's subnet %s", prefix)
	}
	return a, nil
}
