package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Protocol is an IP protocol of its own, without ports, on one interface: what comes to the node's addresses there, and to a group. It stays in the
// namespace where it was opened.
type Protocol struct {
	conn  *net.IPConn
	own   netip.Addr
	index int
	v4    *ipv4.PacketConn // or
	v6    *ipv6.PacketConn
}

// Packet is what came.
type Packet struct {
	Payload  []byte
	From, To netip.Addr
	// Hops is the TTL or hop limit that it came with.
	Hops int
}

// hopLimit is that of packets that are sent: what arrives with less came over a router (RFC 5082).
const hopLimit = 255

// ListenProtocolHere joins a group on an interface, in the namespace of the calling thread. Packets are sent from own, which decides the family.
func ListenProtocolHere(device string, index, protocol int, own, group netip.Addr) (*Protocol, error) {
	p := &Protocol{own: own, index: index}
	network, at := fmt.Sprint("ip4:", protocol), "0.0.0.0"
	if own.Is6() {
		network, at = fmt.Sprint("ip6:", protocol), "::"
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		bad := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) })
		return errors.Join(bad, err)
	}}
	conn, err := lc.ListenPacket(context.Background(), network, at)
	if err != nil {
		return nil, fmt.Errorf("listen for protocol %d on %s: %w", protocol, device, err)
	}
	p.conn = conn.(*net.IPConn)
	if err = p.prepare(&net.Interface{Index: index, Name: device}, group); err != nil {
		p.conn.Close()
		return nil, fmt.Errorf("listen for protocol %d on %s: %w", protocol, device, err)
	}
	return p, nil
}

func (p *Protocol) prepare(device *net.Interface, group netip.Addr) error {
	to := &net.IPAddr{IP: group.AsSlice()}
	if p.own.Is6() {
		p.v6 = ipv6.NewPacketConn(p.conn)
		return errors.Join(p.v6.JoinGroup(device, to), p.v6.SetMulticastInterface(device), p.v6.SetMulticastLoopback(false), p.v6.SetMulticastHopLimit(hopLimit),
			p.v6.SetHopLimit(hopLimit), p.v6.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagDst, true))
	}
	p.v4 = ipv4.NewPacketConn(p.conn)
	return errors.Join(p.v4.JoinGroup(device, to), p.v4.SetMulticastInterface(device), p.v4.SetMulticastLoopback(false), p.v4.SetMulticastTTL(hopLimit),
		p.v4.SetTTL(hopLimit), p.v4.SetTOS(internetControl), p.v4.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst, true))
}

// internetControl is the class of what networks tell each other about themselves (CS6, RFC 4594 §3.2).
const internetControl = 0xc0

// Send sends to a group of the segment or to a node.
func (p *Protocol) Send(payload []byte, to netip.Addr) (err error) {
	if p.v6 != nil {
		_, err = p.v6.WriteTo(payload, &ipv6.ControlMessage{Src: p.own.AsSlice(), IfIndex: p.index}, &net.IPAddr{IP: to.AsSlice()})
	} else {
		_, err = p.v4.WriteTo(payload, &ipv4.ControlMessage{Src: p.own.AsSlice(), IfIndex: p.index}, &net.IPAddr{IP: to.AsSlice()})
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

// Receive waits for the next packet. It ends with net.ErrClosed.
func (p *Protocol) Receive() (Packet, error) {
	b := make([]byte, 2048)
	if p.v6 != nil {
		n, c, from, err := p.v6.ReadFrom(b)
		if err != nil {
			return Packet{}, fmt.Errorf("receive: %w", err)
		}
		x := Packet{Payload: b[:n], From: ipOf(from)}
		if c != nil {
			x.To, x.Hops = address(c.Dst), c.HopLimit
		}
		return x, nil
	}
	n, c, from, err := p.v4.ReadFrom(b)
	if err != nil {
		return Packet{}, fmt.Errorf("receive: %w", err)
	}
	x := Packet{Payload: b[:n], From: ipOf(from)}
	if c != nil {
		x.To, x.Hops = address(c.Dst), c.TTL
	}
	return x, nil
}

func ipOf(a net.Addr) netip.Addr {
	if ip, ok := a.(*net.IPAddr); ok {
		return address(ip.IP)
	}
	return netip.Addr{}
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// Close ends it, and Receive.
func (p *Protocol) Close() error { return p.conn.Close() }
