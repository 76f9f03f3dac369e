package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Station speaks and hears ARP and neighbour discovery on one interface, for addresses that the kernel itself need not have there. It
// stays in the namespace where it was opened.
type Station struct {
	index   int
	sockets [2]*os.File // ARP, neighbour discovery
	groups  int         // the socket whose membership tells switches (MLD) who listens; -1 for none
}

// Said is what one frame says: its sender has an address, asks for one, or both.
type Said struct {
	// Has is the address that the sender claims to have, invalid for none.
	Has netip.Addr
	// Asks is the address that it looks for, invalid for none; From is its own, invalid in a probe.
	Asks, From netip.Addr
	// MAC is the sender's.
	MAC net.HardwareAddr
	// Reply tells that the frame is an answer (or has the form of one).
	Reply bool
}

// StationHere opens a station on the interface with that index, in the namespace of the calling thread. It hears questions for these
// addresses also when no interface has them.
func StationHere(index int, addresses ...netip.Addr) (*Station, error) {
	s := &Station{index: index, groups: -1}
	var questions []Question
	for _, a := range addresses {
		if a.Is6() {
			questions = append(questions, Question{Index: index, Target: a})
		}
	}
	for i, protocol := range []uint16{etherARP, etherIPv6} {
		f, err := open(protocol, questions)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("listen for who asks for an address: %w", err)
		}
		s.sockets[i] = f
	}
	if err := s.join(questions); err != nil {
		s.Close()
		return nil, fmt.Errorf("listen for who asks for an address: %w", err)
	}
	return s, nil
}

// join becomes a member of the solicited-node groups, as a host with the address would (RFC 4861 clause 7.2.1): a switch that watches
// memberships forwards the questions then.
func (s *Station) join(questions []Question) error {
	if len(questions) == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	s.groups = fd
	joined := map[netip.Addr]bool{}
	for _, q := range questions {
		group := solicited(q.Target)
		if joined[group] {
			continue
		}
		joined[group] = true
		m := unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(s.index)}
		if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &m); err != nil {
			return os.NewSyscallError("join "+group.String(), err)
		}
	}
	return nil
}

// Announce tells the segment that an address is at mac. IPv4 is told as a request and as a reply: there are receivers that learn from
// one of them only (RFC 5227 clause 3).
func (s *Station) Announce(a netip.Addr, mac net.HardwareAddr) error {
	if a.Is4() {
		return errors.Join(
			s.send(etherARP, arpFrame(arpRequest, broadcast, mac, a, net.HardwareAddr{0, 0, 0, 0, 0, 0}, a)),
			s.send(etherARP, arpFrame(arpReply, broadcast, mac, a, mac, a)))
	}
	all := netip.IPv6LinkLocalAllNodes()
	return s.send(etherIPv6, advertisementFrame(multicast(all), mac, a, all, false))
}

// Answer tells one that asked.
func (s *Station) Answer(q Said, mac net.HardwareAddr) error {
	switch {
	case q.Asks.Is4() && q.From.IsValid():
		return s.send(etherARP, arpFrame(arpReply, q.MAC, mac, q.Asks, q.MAC, q.From))
	case q.Asks.Is4():
		return s.send(etherARP, arpFrame(arpReply, q.MAC, mac, q.Asks, q.MAC, netip.IPv4Unspecified()))
	case q.From.IsValid():
		return s.send(etherIPv6, advertisementFrame(q.MAC, mac, q.Asks, q.From, true))
	default: // it detects duplicates, and has no address to be answered at (RFC 4861 clause 7.2.4)
		all := netip.IPv6LinkLocalAllNodes()
		return s.send(etherIPv6, advertisementFrame(multicast(all), mac, q.Asks, all, false))
	}
}

// Ask asks the segment once; who answers is heard by Hear.
func (s *Station) Ask(q Question) error {
	protocol := uint16(etherIPv6)
	if q.Target.Is4() {
		protocol = etherARP
	}
	return s.send(protocol, question(q))
}

func (s *Station) send(protocol uint16, b []byte) error {
	f := s.sockets[0]
	if protocol == etherIPv6 {
		f = s.sockets[1]
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	bad := conn.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, &unix.SockaddrLinklayer{Protocol: swap(protocol), Ifindex: s.index, Halen: 6})
	})
	return os.NewSyscallError("send frame", errors.Join(bad, err))
}

// Hear calls heard, on goroutines of its own and possibly at the same time, for what others say on the interface, until ctx ends or the
// station is closed.
func (s *Station) Hear(ctx context.Context, heard func(Said)) {
	for _, f := range s.sockets {
		go s.hear(ctx, f, heard)
	}
}

func (s *Station) hear(ctx context.Context, f *os.File, heard func(Said)) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	var b [256]byte
	for ctx.Err() == nil {
		var n int
		var from unix.Sockaddr
		var failed error
		if conn.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), b[:], 0)
			return !errors.Is(failed, unix.EAGAIN)
		}) != nil || failed != nil && !errors.Is(failed, unix.EINTR) && !errors.Is(failed, unix.ENETDOWN) {
			return
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || failed != nil || link.Ifindex != s.index || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if said, ok := readSaid(b[:n]); ok {
			heard(said)
		}
	}
}

// Close closes the sockets.
func (s *Station) Close() error {
	var errs []error
	for _, f := range s.sockets {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if s.groups >= 0 {
		errs = append(errs, unix.Close(s.groups))
	}
	return errors.Join(errs...)
}
