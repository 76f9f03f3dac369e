package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Sizes of headers in bytes.
const (
	ipv4Size = 20
	udpSize  = 8
)

// udp4 is a packet of IPv4 with a UDP datagram (RFC 791, RFC 768).
func udp4(payload []byte, from, to netip.Addr, fromPort, toPort uint16) []byte {
	b := make([]byte, ipv4Size+udpSize, ipv4Size+udpSize+len(payload))
	b[0], b[8], b[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(b[2:], uint16(cap(b)))
	source, target := from.As4(), to.As4()
	copy(b[12:], source[:])
	copy(b[16:], target[:])
	binary.BigEndian.PutUint16(b[10:], ^folded(sum(0, b[:ipv4Size])))
	u := b[ipv4Size:]
	binary.BigEndian.PutUint16(u, fromPort)
	binary.BigEndian.PutUint16(u[2:], toPort)
	binary.BigEndian.PutUint16(u[4:], uint16(udpSize+len(payload)))
	total := sum(sum(sum(17+uint32(udpSize+len(payload)), b[12:20]), u), payload)
	check := ^folded(total)
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(u[6:], check)
	return append(b, payload...)
}

// readUDP4 reads a packet of a stranger. The checksum of UDP is not looked at: between interfaces of one machine nobody has filled it in.
func readUDP4(b []byte) (d Datagram, ok bool) {
	if len(b) < ipv4Size || b[0]>>4 != 4 || b[9] != 17 {
		return d, false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4Size || total > len(b) || total < header+udpSize || folded(sum(0, b[:header])) != 0xffff {
		return d, false
	}
	u := b[header:total]
	size := int(binary.BigEndian.Uint16(u[4:]))
	if size < udpSize || size > len(u) {
		return d, false
	}
	return Datagram{Payload: bytes.Clone(u[udpSize:size]), From: netip.AddrFrom4([4]byte(b[12:16]))}, true
}

// sum adds words of 16 bits (RFC 1071).
func sum(start uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		start += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		start += uint32(b[len(b)-1]) << 8
	}
	return start
}

func folded(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// bigEndian puts a number into network byte order.
func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
