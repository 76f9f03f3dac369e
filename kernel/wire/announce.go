package wire

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Announcer tells segments about IPv6 addresses. It stays in the namespace where it was opened.
type Announcer struct{ fd int }

// OpenHere opens an announcer in the namespace of the calling thread. It is a raw ICMPv6 socket and no packet socket, because closing
// one of those makes the kernel wait for all its readers (packet_release).
func OpenHere() (*Announcer, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		return nil, fmt.Errorf("open ICMPv6 socket: %w", err)
	}
	// Receivers drop neighbour discovery with another hop limit (RFC 4861 clause 7.1.2); the filter refuses all incoming messages.
	filter := unix.ICMPv6Filter{Data: [8]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}}
	for option, value := range map[int]int{unix.IPV6_MULTICAST_HOPS: 255, unix.IPV6_MULTICAST_LOOP: 0} {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, option, value); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("prepare ICMPv6 socket: %w", err)
		}
	}
	_ = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter)
	return &Announcer{fd: fd}, nil
}

// Announce6 sends an unsolicited neighbour advertisement for own to all nodes of the segment of the interface with that index (RFC
// 4861 clause 7.2.6), so that a hardware address cached for it is replaced.
func (a *Announcer) Announce6(index int, own netip.Addr, mac net.HardwareAddr) error {
	source := unix.PktInfo6(&unix.Inet6Pktinfo{Addr: own.As16(), Ifindex: uint32(index)})
	to := &unix.SockaddrInet6{Addr: netip.IPv6LinkLocalAllNodes().As16(), ZoneId: uint32(index)}
	if err := unix.Sendmsg(a.fd, advertisement(own, mac), source, to, 0); err != nil {
		return fmt.Errorf("announce %s: %w", own, err)
	}
	return nil
}

// advertisement is the ICMPv6 message, without the checksum that the kernel fills in (RFC 4861 clause 4.4).
func advertisement(own netip.Addr, mac net.HardwareAddr) []byte {
	const override = 0x20
	b := []byte{136, 0, 0, 0, override, 0, 0, 0}
	b = append(b, own.AsSlice()...)
	return append(append(b, 2, 1), mac...) // option: target link-layer address, in units of 8 bytes
}

// Close closes the socket.
func (a *Announcer) Close() error { return unix.Close(a.fd) }
