package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Question asks the segment of an interface who has an address.
type Question struct {
	// Index of the interface and its own MAC, which does not count as an answer.
	Index int
	MAC   net.HardwareAddr
	// VLAN is the one of the interface's tagged VLANs that is asked (IEEE 802.1Q), 0 for frames without a tag.
	VLAN int
	// Target is the address that is asked for.
	Target netip.Addr
	// From is the interface's own address. Without one the question is a probe (RFC 5227 clause 2.1.1, RFC 4862 clause 5.4.2): it
	// changes nobody's cache, and somebody else's probe for the same address is an answer as well.
	From netip.Addr
	// Present wants somebody who has the address: another's probe for it is no answer. All nodes look for the same gateway.
	Present bool
}

// Sighting is an answer: somebody has the address, or is about to take it.
type Sighting struct {
	Index, VLAN int
	Target      netip.Addr
	MAC         net.HardwareAddr
}

// Asker asks many questions over one socket per address family, and one for all tagged ones. It stays in the namespace where it was
// opened, and hears from that moment on.
type Asker struct {
	questions []Question
	sockets   [3]*os.File // IPv4, IPv6, tagged; nil for none
	// open are interfaces that take in all VLANs for the time being.
	open map[int]bool
}

// The sockets by what they hear.
const (
	plain4 = iota
	plain6
	tagged
)

// socket is the index of the one that a question is asked over.
func (q Question) socket() int {
	switch {
	case q.VLAN != 0:
		return tagged
	case q.Target.Is4():
		return plain4
	}
	return plain6
}

// AskHere prepares to ask in the namespace of the calling thread. The interfaces must be up.
func AskHere(questions []Question) (*Asker, error) {
	a := &Asker{questions: questions, open: map[int]bool{}}
	for i, protocol := range []uint16{plain4: etherARP, plain6: etherIPv6, tagged: unix.ETH_P_ALL} {
		var ours []Question
		for _, q := range questions {
			if q.socket() == i {
				ours = append(ours, q)
			}
		}
		if len(ours) == 0 {
			continue
		}
		f, err := open(protocol, ours)
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("listen for who has an address: %w", err)
		}
		a.sockets[i] = f
	}
	return a, nil
}

// open makes a packet socket that hears one protocol on all interfaces, of IPv6 neighbour discovery only; or of all protocols what has a
// tag and is about addresses.
func open(protocol uint16, questions []Question) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	switch protocol {
	case etherIPv6:
		if err = join(fd, questions); err == nil {
			err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, discovery())
		}
	case unix.ETH_P_ALL:
		err = prepareTagged(fd, questions)
	}
	if err == nil { // last, so that nothing is heard before the filter is there
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(protocol)})
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("prepare packet socket", err)
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}

// join hears what others send to the solicited-node groups of the targets: their own probes.
func join(fd int, questions []Question) error {
	for _, q := range questions {
		if err := member(fd, q.Index, multicast(solicited(q.Target))); err != nil {
			return err
		}
	}
	return nil
}

// member has an interface take in what is sent to a group, as long as the socket is open.
func member(fd, index int, group net.HardwareAddr) error {
	m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6}
	copy(m.Address[:], group)
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m)
}

// discovery is a filter (bpf(4)) for solicitations and advertisements.
func discovery() *unix.SockFprog {
	const loadByte, ifEqual, give = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{
		{Code: loadByte, K: etherSize + 6},
		{Code: ifEqual, K: protocolICMPv6, Jf: 4},
		{Code: loadByte, K: etherSize + ipv6Size},
		{Code: ifEqual, K: solicitation, Jt: 1},
		{Code: ifEqual, K: advertised, Jf: 1},
		{Code: give, K: 0xffff},
		{Code: give, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// Ask asks all questions the given number of times within the wait, and hears until its end, or until each has an answer. The wait begins
// when all were sent once: a queue may be full. One sighting per question is returned, the first. An error means that nothing is known
// about some address.
func (a *Asker) Ask(ctx context.Context, times int, wait time.Duration) ([]Sighting, error) {
	ctx, cancel := context.WithCancel(ctx)
	frames := make(chan frame, 16)
	var readers sync.WaitGroup
	for i, s := range a.sockets {
		if s != nil {
			_ = s.SetReadDeadline(time.Time{})
			receive := receivePlain
			if i == tagged {
				receive = receiveTagged
			}
			readers.Go(func() { hear(ctx, s, receive, frames) })
		}
	}
	defer func() {
		cancel()
		for _, s := range a.sockets {
			if s != nil {
				_ = s.SetReadDeadline(time.Now())
			}
		}
		readers.Wait()
	}()
	return a.converse(ctx, frames, times, wait)
}

const (
	// crowded is how long it takes until a queue that is full has room again, patience how long that is waited for.
	crowded  = 2 * time.Millisecond
	patience = time.Second
)

// converse sends and hears.
func (a *Asker) converse(ctx context.Context, frames <-chan frame, times int, wait time.Duration) (seen []Sighting, err error) {
	again, end := time.NewTimer(0), time.NewTimer(patience)
	defer again.Stop()
	defer end.Stop()
	rounds, sent := 0, 0
	for {
		select {
		case <-again.C:
			sent, err = a.send(sent, seen)
			if errors.Is(err, unix.ENOBUFS) {
				again.Reset(crowded)
				continue
			}
			if err != nil {
				return seen, err
			}
			if rounds++; rounds == 1 {
				end.Reset(wait)
			} else if err := a.openFilters(seen); err != nil {
				return seen, err
			}
			if sent = 0; rounds < times {
				again.Reset(wait / time.Duration(times))
			}
		case f := <-frames:
			if seen = a.match(seen, f); len(seen) == len(a.questions) {
				return seen, nil
			}
		case <-end.C:
			if rounds == 0 {
				return seen, err
			}
			return seen, nil
		case <-ctx.Done():
			return seen, context.Cause(ctx)
		}
	}
}

// send asks what has no answer yet, from a question on, and tells how far it came.
func (a *Asker) send(from int, seen []Sighting) (sent int, err error) {
	for i, q := range a.questions[from:] {
		if answered(seen, q) {
			continue
		}
		protocol := []uint16{plain4: etherARP, plain6: etherIPv6, tagged: etherVLAN}[q.socket()]
		conn, err := a.sockets[q.socket()].SyscallConn()
		if err != nil {
			return from + i, fmt.Errorf("ask for %s: %w", q.Target, err)
		}
		bad := conn.Write(func(fd uintptr) bool {
			err = unix.Sendto(int(fd), question(q), 0, &unix.SockaddrLinklayer{Protocol: swap(protocol), Ifindex: q.Index, Halen: 6})
			return !errors.Is(err, unix.EAGAIN)
		})
		if err = errors.Join(bad, err); err != nil {
			return from + i, fmt.Errorf("ask for %s: %w", q.Target, err)
		}
	}
	return len(a.questions), nil
}

func answered(seen []Sighting, q Question) bool {
	for _, s := range seen {
		if s.Index == q.Index && s.VLAN == q.VLAN && s.Target == q.Target {
			return true
		}
	}
	return false
}

// match adds what a frame answers.
func (a *Asker) match(seen []Sighting, f frame) []Sighting {
	for _, q := range a.questions {
		answers := q.Target == f.has || q.Target == f.asks && !q.From.IsValid() && !q.Present
		if q.Index == f.index && q.VLAN == f.vlan && answers && !bytes.Equal(q.MAC, f.mac) && !answered(seen, q) {
			seen = append(seen, Sighting{Index: q.Index, VLAN: q.VLAN, Target: q.Target, MAC: f.mac})
		}
	}
	return seen
}

// frame is what was heard on an interface.
type frame struct {
	heard
	index, vlan int
}

// receivePlain receives a frame without a tag.
func receivePlain(fd int, b []byte) (n, vlan int, from unix.Sockaddr, err error) {
	n, from, err = unix.Recvfrom(fd, b, 0)
	return n, 0, from, err
}

// hear reads frames until the context ends.
func hear(ctx context.Context, s *os.File, receive func(fd int, b []byte) (n, vlan int, from unix.Sockaddr, err error), to chan<- frame) {
	conn, err := s.SyscallConn()
	if err != nil {
		return
	}
	var b [256]byte // the questions' answers are shorter
	for ctx.Err() == nil {
		var n, vlan int
		var from unix.Sockaddr
		var failed error
		if conn.Read(func(fd uintptr) bool {
			n, vlan, from, failed = receive(int(fd), b[:])
			return !errors.Is(failed, syscall.EAGAIN)
		}) != nil || failed != nil && !errors.Is(failed, unix.EINTR) && !errors.Is(failed, unix.ENETDOWN) {
			return
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || failed != nil || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if h, ok := read(b[:n]); ok {
			select {
			case to <- frame{h, link.Ifindex, vlan}:
			case <-ctx.Done():
			}
		}
	}
}

// Close closes the sockets. The kernel waits for all readers of packets meanwhile (packet_release), 10 to 30 ms.
func (a *Asker) Close() error {
	var errs []error
	for _, s := range a.sockets {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// swap puts a number into network byte order.
func swap(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
