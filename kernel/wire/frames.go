package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// arpFrame is ARP for IPv4 over Ethernet (RFC 826).
func arpFrame(op byte, to, mac net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	b := make([]byte, 0, etherSize+arpSize)
	b = append(append(b, to...), mac...)
	b = binary.BigEndian.AppendUint16(b, etherARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(append(b, mac...), sender.AsSlice()...)
	return append(append(b, targetMAC...), target.AsSlice()...)
}

// advertisementFrame is a neighbour advertisement from the address itself (RFC 4861 clause 4.4), which replaces what was cached.
func advertisementFrame(toMAC, mac net.HardwareAddr, own, to netip.Addr, asked bool) []byte {
	nd := advertisement(own, mac)
	if asked {
		nd[4] |= 0x40 // solicited
	}
	binary.BigEndian.PutUint16(nd[2:], checksum(own, to, nd))
	b := make([]byte, 0, etherSize+ipv6Size+len(nd))
	b = append(append(b, toMAC...), mac...)
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, byte(len(nd)), protocolICMPv6, 255)
	b = append(append(b, own.AsSlice()...), to.AsSlice()...)
	return append(b, nd...)
}

// readSaid reads a frame of a stranger. False means that it says nothing about addresses.
func readSaid(frame []byte) (s Said, ok bool) {
	if len(frame) < etherSize {
		return s, false
	}
	body := frame[etherSize:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return saidARP(body)
	case etherIPv6:
		return saidND(frame[6:12], body)
	}
	return s, false
}

func saidARP(b []byte) (s Said, ok bool) {
	if len(b) < arpSize || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return s, false
	}
	op := binary.BigEndian.Uint16(b[6:])
	if op != arpRequest && op != arpReply {
		return s, false
	}
	s.MAC, s.Reply = bytes.Clone(b[8:14]), op == arpReply
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	if !sender.IsUnspecified() {
		s.Has, s.From = sender, sender
	}
	if op == arpRequest && target != sender && !target.IsUnspecified() {
		s.Asks = target
	}
	return s, s.Has.IsValid() || s.Asks.IsValid()
}

func saidND(mac, b []byte) (s Said, ok bool) {
	h, ok := readND(mac, b)
	if !ok {
		return s, false
	}
	s.MAC, s.Has = h.mac, h.has
	if s.Reply = b[ipv6Size] == advertised; s.Reply {
		return s, true
	}
	s.From, s.Asks = h.has, netip.AddrFrom16([16]byte(b[ipv6Size+8:ipv6Size+24]))
	return s, true
}
