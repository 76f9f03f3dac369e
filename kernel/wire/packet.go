package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

// Sizes of headers in bytes.
const (
	etherSize = 14
	arpSize   = 28
	ipv6Size  = 40
	ndSize    = 24 // of a solicitation or advertisement without options
)

const (
	etherARP  = 0x0806
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd

	arpRequest = 1
	arpReply   = 2

	protocolICMPv6 = 58
	solicitation   = 135
	advertised     = 136
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// heard is what one frame says about who has an address, or is about to.
type heard struct {
	// has is the address that the sender of the frame has; it is invalid when the frame says nothing of the kind.
	has netip.Addr
	// asks is the address that the sender looks for before it takes it (RFC 5227 clause 2.1.1, RFC 4862 clause 5.4.3).
	asks netip.Addr
	mac  net.HardwareAddr
}

// question is the frame that asks who has an address: an ARP request, or a neighbour solicitation. Without a sender's address it is a
// probe, which nobody learns anything from.
func question(q Question) []byte {
	b := solicitationFrame(q)
	if q.Target.Is4() {
		b = requestFrame(q)
	}
	if q.VLAN != 0 {
		b = slices.Insert(b, 12, 0x81, 0x00, byte(q.VLAN>>8), byte(q.VLAN))
	}
	return b
}

// requestFrame is an ARP request (RFC 826) to everybody.
func requestFrame(q Question) []byte {
	b := make([]byte, 0, etherSize+arpSize)
	b = append(append(b, broadcast...), q.MAC...)
	b = binary.BigEndian.AppendUint16(b, etherARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, arpRequest)
	from := netip.IPv4Unspecified()
	if q.From.IsValid() {
		from = q.From
	}
	b = append(append(b, q.MAC...), from.AsSlice()...)
	return append(append(b, 0, 0, 0, 0, 0, 0), q.Target.AsSlice()...)
}

// solicitationFrame is a neighbour solicitation (RFC 4861 clause 4.3) to the solicited-node group of the target.
func solicitationFrame(q Question) []byte {
	from := netip.IPv6Unspecified()
	var options []byte
	if q.From.IsValid() {
		from, options = q.From, append([]byte{1, 1}, q.MAC...) // source link-layer address
	}
	group := solicited(q.Target)
	nd := append([]byte{solicitation, 0, 0, 0, 0, 0, 0, 0}, q.Target.AsSlice()...)
	nd = append(nd, options...)
	binary.BigEndian.PutUint16(nd[2:], checksum(from, group, nd))

	b := make([]byte, 0, etherSize+ipv6Size+len(nd))
	b = append(append(b, multicast(group)...), q.MAC...)
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, byte(len(nd)), protocolICMPv6, 255)
	b = append(append(b, from.AsSlice()...), group.AsSlice()...)
	return append(b, nd...)
}

// solicited is the group that whoever has an address listens to (RFC 4291 clause 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	raw := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, raw[13], raw[14], raw[15]})
}

// multicast is the hardware address of a group (RFC 2464 section 7).
func multicast(group netip.Addr) net.HardwareAddr {
	raw := group.As16()
	return net.HardwareAddr{0x33, 0x33, raw[12], raw[13], raw[14], raw[15]}
}

// checksum is that of an ICMPv6 message whose checksum field is zero (RFC 4443 clause 2.3, RFC 1071).
func checksum(from, to netip.Addr, message []byte) uint16 {
	sum := uint32(len(message)) + protocolICMPv6
	add := func(b []byte) {
		for i, one := range b {
			if i%2 == 0 {
				sum += uint32(one) << 8
			} else {
				sum += uint32(one)
			}
		}
	}
	add(from.AsSlice())
	add(to.AsSlice())
	add(message)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// read reads a frame of a stranger. False means that it says nothing about addresses.
func read(frame []byte) (heard, bool) {
	if len(frame) < etherSize {
		return heard{}, false
	}
	to, from, body := frame[:6], frame[6:12], frame[etherSize:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return readARP(to, body)
	case etherIPv6:
		return readND(from, body)
	}
	return heard{}, false
}

// readARP reads IPv4 over Ethernet (RFC 826). A switch that keeps watch on the hosts it knows asks each of them alone, without an
// address of its own (IP device tracking): only a probe to everybody is one that looks for an address before it is taken.
func readARP(to, b []byte) (h heard, ok bool) {
	if len(b) < arpSize || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return h, false
	}
	op := binary.BigEndian.Uint16(b[6:])
	if op != arpRequest && op != arpReply {
		return h, false
	}
	h.mac = bytes.Clone(b[8:14])
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	switch {
	case !sender.IsUnspecified():
		h.has = sender
	case op == arpRequest && bytes.Equal(to, broadcast) && !target.IsUnspecified():
		h.asks = target
	default:
		return h, false
	}
	return h, true
}

// readND reads neighbour solicitations and advertisements. What came over a router is none (RFC 4861 clauses 7.1.1 and 7.1.2).
func readND(mac, b []byte) (h heard, ok bool) {
	if len(b) < ipv6Size+ndSize || b[0]>>4 != 6 || b[6] != protocolICMPv6 || b[7] != 255 {
		return h, false
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	nd := b[ipv6Size:]
	if size < ndSize || size > len(nd) || nd[1] != 0 {
		return h, false
	}
	source, target := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(nd[8:24]))
	h.mac = bytes.Clone(mac)
	switch {
	case nd[0] == advertised:
		h.has = target
		if own := linkAddress(nd[ndSize:size]); own != nil {
			h.mac = own
		}
	case nd[0] == solicitation && source.IsUnspecified():
		h.asks = target
	case nd[0] == solicitation:
		h.has = source
	default:
		return h, false
	}
	return h, true
}

// linkAddress is the target's hardware address among the options of an advertisement (RFC 4861 clause 4.6.1), or nil.
func linkAddress(options []byte) net.HardwareAddr {
	for len(options) >= 2 {
		size := int(options[1]) * 8
		if size == 0 || size > len(options) {
			return nil
		}
		if options[0] == 2 && size == 8 {
			return bytes.Clone(options[2:8])
		}
		options = options[size:]
	}
	return nil
}
