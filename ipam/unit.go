package ipam

import (
	"math/bits"
	"net/netip"
)

// mostUnit is the largest block: one machine word of addresses.
const mostUnit = 64

// unitFor is the number of addresses leased to a node at once when n nodes
// share f addresses: every node can have two blocks, and no block has more
// than 64 addresses. A pool that is small for its nodes is leased address by
// address.
func unitFor(f int64, n int) int {
	each := f / int64(2*max(n, 1))
	if each >= mostUnit {
		return mostUnit
	}
	return 1 << (bits.Len64(uint64(max(each, 1))) - 1)
}

// A region is the /24 or /120 around an address: blocks of one region have
// one size.
func regionOf(a netip.Addr) netip.Prefix {
	return netip.PrefixFrom(a, a.BitLen()-8).Masked()
}

// blockOf is the block of an address in a region of the given unit.
func blockOf(a netip.Addr, unit int) netip.Prefix {
	return netip.PrefixFrom(a, a.BitLen()-bits.Len(uint(unit))+1).Masked()
}

// unitOf is the number of addresses of a block.
func unitOf(block netip.Prefix) int { return 1 << (block.Addr().BitLen() - block.Bits()) }

// lowByte is the place of an address in its region.
func lowByte(a netip.Addr) int {
	if a.Is4() {
		return int(a.As4()[3])
	}
	return int(a.As16()[15])
}

// plus is the address n places after a, in a's region.
func plus(a netip.Addr, n int) netip.Addr {
	if a.Is4() {
		b := a.As4()
		b[3] += byte(n)
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	b[15] += byte(n)
	return netip.AddrFrom16(b)
}

// after is the first address behind a prefix, invalid at the end of all.
func after(p netip.Prefix) netip.Addr { return lastOf(p).Next() }

// mask is the addresses of a block that the pool may give out, lowest first.
func (p Pool) mask(block netip.Prefix) (m uint64) {
	all := RangeOf(block)
	for _, r := range p.from(all.First) {
		if all.Last.Less(r.First) {
			break
		}
		lo, hi := 0, unitOf(block)-1
		if all.First.Less(r.First) {
			lo = lowByte(r.First) - lowByte(all.First)
		}
		if r.Last.Less(all.Last) {
			hi = lowByte(r.Last) - lowByte(all.First)
		}
		m |= ^uint64(0) >> (63 - (hi - lo)) << lo
	}
	return m
}

// from are the spans that do not end below a.
func (p Pool) from(a netip.Addr) []Range {
	lo, hi := 0, len(p.spans)
	for lo < hi {
		if mid := (lo + hi) / 2; p.spans[mid].Last.Less(a) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return p.spans[lo:]
}
