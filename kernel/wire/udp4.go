package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Datagram is a UDP datagram that was heard.
type Datagram struct {
	Payload []byte
	From    netip.Addr
	// MAC of who put it on the segment: the sender, or a router before it.
	MAC net.HardwareAddr
}

// UDP4 is a UDP port of an interface below the kernel's IPv4, so that it works before the interface has an address (RFC 2131 clause
// 4.1). It stays in the namespace where it was opened.
type UDP4 struct {
	file          *os.File
	held          int // a socket of the kernel's own on the same port, or -1
	index         int
	local, remote uint16
}

// ListenUDP4Here hears what comes to the local port over an interface, in the namespace of the calling thread; Send sends to the remote
// port.
func ListenUDP4Here(index int, local, remote uint16) (*UDP4, error) {
	u := &UDP4{index: index, local: local, remote: remote, held: -1}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	if err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, toPort(local)); err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("prepare packet socket: %w", err)
	}
	u.file = os.NewFile(uintptr(fd), "packet")
	u.hold()
	return u, nil
}

// hold keeps the kernel from telling the sender that nobody listens on the port (ICMP port unreachable). A Pod that listens there
// itself does it as well.
func (u *UDP4) hold() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // nobody reads it
	if unix.Bind(fd, &unix.SockaddrInet4{Port: int(u.local)}) != nil {
		unix.Close(fd)
		return
	}
	u.held = fd
}

// toPort is a filter (bpf(4)) for UDP to a port, in packets that begin with the IP header.
func toPort(port uint16) *unix.SockFprog {
	const loadByte, loadHalf = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
	const isEqual, anySet = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	program := []unix.SockFilter{
		{Code: loadByte, K: 9},
		{Code: isEqual, K: unix.IPPROTO_UDP, Jf: 6},
		{Code: loadHalf, K: 6},
		{Code: anySet, K: 0x3fff, Jt: 4}, // a fragment
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},
		{Code: isEqual, K: uint32(port), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// Send sends a datagram to an address, in a frame to a hardware address; nil is everybody's.
func (u *UDP4) Send(payload []byte, from, to netip.Addr, mac net.HardwareAddr) error {
	addr := unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: u.index, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	if len(mac) == 6 {
		copy(addr.Addr[:], mac)
	}
	conn, err := u.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	packet := udp4(payload, from, to, u.local, u.remote)
	bad := conn.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), packet, 0, &addr)
		return !errors.Is(err, unix.EAGAIN)
	})
	if err = errors.Join(bad, err); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

// Receive waits for the next datagram; what is none is passed over.
func (u *UDP4) Receive(ctx context.Context) (Datagram, error) {
	if err := u.file.SetReadDeadline(time.Time{}); err != nil {
		return Datagram{}, fmt.Errorf("receive: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = u.file.SetReadDeadline(time.Unix(1, 0)) })()
	conn, err := u.file.SyscallConn()
	if err != nil {
		return Datagram{}, fmt.Errorf("receive: %w", err)
	}
	var b [2048]byte
	for ctx.Err() == nil {
		var n int
		var from unix.Sockaddr
		bad := conn.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), b[:], 0)
			return !errors.Is(err, unix.EAGAIN)
		})
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) && bad == nil {
			continue
		}
		if err = errors.Join(bad, err); err != nil {
			return Datagram{}, fmt.Errorf("receive: %w", err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if d, ok := readUDP4(b[:n]); ok {
			d.MAC = append(net.HardwareAddr(nil), link.Addr[:min(int(link.Halen), 6)]...)
			return d, nil
		}
	}
	return Datagram{}, context.Cause(ctx)
}

// Close closes the port. The kernel waits for all readers of packets meanwhile (packet_release), 10 to 30 ms.
func (u *UDP4) Close() error {
	if u.held >= 0 {
		unix.Close(u.held)
	}
	return u.file.Close()
}
