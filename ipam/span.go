package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Range is the addresses from First to Last, both included. They are of one
// family and First is not above Last.
type Range struct{ First, Last netip.Addr }

func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Contains tells whether a lies in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// RangeOf is all addresses of a prefix.
func RangeOf(p netip.Prefix) Range {
	return Range{p.Masked().Addr(), lastOf(p)}
}

// ParseRange reads "first-last", a CIDR or one address.
func ParseRange(text string) (Range, error) {
	text = strings.TrimSpace(text)
	if first, last, ok := strings.Cut(text, "-"); ok {
		f, err := parseAddr(first)
		if err != nil {
			return Range{}, err
		}
		l, err := parseAddr(last)
		if err != nil {
			return Range{}, err
		}
		if f.BitLen() != l.BitLen() {
			return Range{}, fmt.Errorf("%s and %s are of different address families", f, l)
		}
		if l.Less(f) {
			return Range{}, fmt.Errorf("%s is above %s: write the lower address first", f, l)
		}
		return Range{f, l}, nil
	}
	if strings.Contains(text, "/") {
		p, err := parsePrefix(text)
		if err != nil {
			return Range{}, err
		}
		return RangeOf(p), nil
	}
	a, err := parseAddr(text)
	return Range{a, a}, err
}

// parseAddr reads an address as people write it: zones have no place in a
// cluster-wide range, and an IPv4 address in IPv6 form is the IPv4 address.
func parseAddr(text string) (netip.Addr, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return netip.Addr{}, errors.New("an address is missing")
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		if plain, ok := withoutLeadingZeros(text); ok {
			a, err = netip.ParseAddr(plain)
		}
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", text)
	}
	if a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q has a zone: leave out %%%s", text, a.Zone())
	}
	return a.Unmap(), nil
}

// withoutLeadingZeros takes the zeros off 192.168.010.001, which whereabouts
// accepts in its ranges as decimal numbers.
func withoutLeadingZeros(text string) (string, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return "", false
	}
	for i, p := range parts {
		if p = strings.TrimLeft(p, "0"); p == "" && parts[i] != "" {
			p = "0"
		}
		parts[i] = p
	}
	return strings.Join(parts, "."), true
}

func parsePrefix(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	addr, length, ok := strings.Cut(text, "/")
	if !ok {
		return netip.Prefix{}, fmt.Errorf("%q has no prefix length: write it as %s/24 or the like", text, text)
	}
	a, err := parseAddr(addr)
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(a.String() + "/" + length)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q: the prefix length must be a number from 0 to %d", text, a.BitLen())
	}
	return p, nil
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// subtract takes the ranges of less from those of from; the result is sorted
// and its ranges do not touch each other's addresses.
func subtract(from, less []Range) []Range {
	from, less = join(from), join(less)
	var out []Range
	for _, r := range from {
		gone := false
		for _, l := range less {
			if l.First.BitLen() != r.First.BitLen() || l.Last.Less(r.First) {
				continue
			}
			if r.Last.Less(l.First) {
				break
			}
			if r.First.Less(l.First) {
				out = append(out, Range{r.First, l.First.Prev()})
			}
			if !l.Last.Less(r.Last) {
				gone = true
				break
			}
			r.First = l.Last.Next()
		}
		if !gone {
			out = append(out, r)
		}
	}
	return out
}

// join sorts ranges and makes one of those that overlap or touch.
func join(ranges []Range) []Range {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int {
		return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last))
	})
	var out []Range
	for _, r := range sorted {
		if n := len(out); n > 0 && out[n-1].First.BitLen() == r.First.BitLen() {
			last := &out[n-1]
			if next := last.Last.Next(); !next.IsValid() || r.First.Compare(next) <= 0 {
				if last.Last.Less(r.Last) {
					last.Last = r.Last
				}
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// size counts addresses, and stops at the largest int64: the object model
// counts in it, and nobody fills more.
func size(spans []Range) int64 {
	var total int64
	for _, r := range spans {
		n := distance(r.First, r.Last)
		if n >= math.MaxInt64-1 || total > math.MaxInt64-int64(n)-1 {
			return math.MaxInt64
		}
		total += int64(n) + 1
	}
	return total
}

// distance is b-a, at most the largest uint64. a is not above b.
func distance(a, b netip.Addr) uint64 {
	ahi, alo := halves(a)
	bhi, blo := halves(b)
	lo, borrow := bits.Sub64(blo, alo, 0)
	hi, _ := bits.Sub64(bhi, ahi, borrow)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	for i := range 8 {
		hi = hi<<8 | uint64(b[i])
		lo = lo<<8 | uint64(b[i+8])
	}
	return hi, lo
}
