package nft

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
)

// Element is a member of a set, or a key with its value in a map, as bytes in the kernel's order.
type Element struct {
	key, end, value string
	// last marks the first address behind an interval (NFT_SET_ELEM_INTERVAL_END).
	last bool
}

func (e Element) wire() nftables.SetElement {
	return nftables.SetElement{Key: []byte(e.key), KeyEnd: []byte(e.end), Val: []byte(e.value), IntervalEnd: e.last}
}

func fromWire(e nftables.SetElement) Element {
	return Element{key: string(e.Key), end: string(e.KeyEnd), value: string(e.Val), last: e.IntervalEnd}
}

// place is what only one element of a set can be at.
func (e Element) place() Element { return Element{key: e.key, end: e.end, last: e.last} }

// Contents are elements of sets. The methods add; twice is once.
type Contents map[Set]map[Element]struct{}

func (c Contents) add(s Set, e Element) {
	if c[s] == nil {
		c[s] = map[Element]struct{}{}
	}
	c[s][e] = struct{}{}
}

// Node adds an address of a node.
func (c Contents) Node(a netip.Addr) { c.add(pick(a.Is6(), nodes4, nodes6), Element{key: bytesOf(a)}) }

// Pods sets the prefixes of all nodes' Pods. It is called once.
func (c Contents) Pods(all []netip.Prefix) { c.intervals(all, pods4, pods6) }

// Own sets the prefixes of the node's Pods that are masqueraded. It is called once.
func (c Contents) Own(all []netip.Prefix) { c.intervals(all, own4, own6) }

// HostPort adds a port of the node that leads to one of a Pod. An unspecified address stands for all of its family.
func (c Contents) HostPort(at netip.AddrPort, protocol uint8, to netip.AddrPort) {
	v6, key := to.Addr().Is6(), ""
	set := pick(v6, any4, any6)
	if !at.Addr().IsUnspecified() {
		set, key = pick(v6, ports4, ports6), bytesOf(at.Addr())
	}
	c.add(set, Element{
		key:   key + string([]byte{protocol, 0, 0, 0}) + portBytes(at.Port()),
		value: bytesOf(to.Addr()) + portBytes(to.Port()),
	})
}

// Hairpin adds a Pod that may reach itself by a host port.
func (c Contents) Hairpin(a netip.Addr) {
	c.add(pick(a.Is6(), hairpin4, hairpin6), Element{key: bytesOf(a) + bytesOf(a)})
}

// Hidden adds an address that is masqueraded except towards its subnet, given by the length.
func (c Contents) Hidden(p netip.Prefix) {
	a, v6 := p.Addr(), p.Addr().Is6()
	c.add(pick(v6, hidden4, hidden6), Element{key: bytesOf(a)})
	c.add(pick(v6, near4, near6), Element{
		key: bytesOf(a) + bytesOf(p.Masked().Addr()),
		end: bytesOf(a) + bytesOf(lastAddr(p)),
	})
}

// intervals adds prefixes without those that are inside others: the kernel refuses overlaps.
func (c Contents) intervals(all []netip.Prefix, four, six Set) {
	for _, p := range Disjoint(all) {
		set := pick(p.Addr().Is6(), four, six)
		c.add(set, Element{key: bytesOf(p.Addr())})
		if behind := lastAddr(p).Next(); behind.IsValid() { // an interval up to the last address of all is open
			c.add(set, Element{key: bytesOf(behind), last: true})
		}
	}
}

// Disjoint sorts prefixes and drops those that are inside others.
func Disjoint(all []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(all))
	for _, p := range all {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if d := a.Addr().Compare(b.Addr()); d != 0 {
			return d
		}
		return a.Bits() - b.Bits()
	})
	kept := sorted[:0]
	for _, p := range sorted {
		if n := len(kept); n == 0 || !kept[n-1].Overlaps(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func bytesOf(a netip.Addr) string { return string(a.AsSlice()) }

// portBytes is a port in a concatenation: padded to a register.
func portBytes(p uint16) string {
	return string(binary.BigEndian.AppendUint16(nil, p)) + "\x00\x00"
}
