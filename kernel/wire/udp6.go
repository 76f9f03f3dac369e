package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// UDP6 is a UDP port at one address of an interface. It stays in the namespace where it was opened.
type UDP6 struct {
	conn   *net.UDPConn
	zone   string
	remote uint16
}

// ListenUDP6Here opens a port at a link-local address of the interface with that index, in the namespace of the calling thread; Send
// sends to the remote port.
func ListenUDP6Here(index int, own netip.Addr, local, remote uint16) (*UDP6, error) {
	zone := strconv.Itoa(index)
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: own.AsSlice(), Port: int(local), Zone: zone})
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", own, err)
	}
	return &UDP6{conn, zone, remote}, nil
}

// Send sends a datagram to a link-local address or a group of the link.
func (u *UDP6) Send(payload []byte, to netip.Addr) error {
	if _, err := u.conn.WriteToUDPAddrPort(payload, netip.AddrPortFrom(to.WithZone(u.zone), u.remote)); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

// Receive waits for the next datagram.
func (u *UDP6) Receive(ctx context.Context) (Datagram, error) {
	if err := u.conn.SetReadDeadline(time.Time{}); err != nil {
		return Datagram{}, fmt.Errorf("receive: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = u.conn.SetReadDeadline(time.Unix(1, 0)) })()
	b := make([]byte, 2048)
	n, from, err := u.conn.ReadFromUDPAddrPort(b)
	if ctx.Err() != nil {
		return Datagram{}, context.Cause(ctx)
	}
	if err != nil {
		return Datagram{}, fmt.Errorf("receive: %w", err)
	}
	return Datagram{Payload: b[:n], From: from.Addr().WithZone("")}, nil
}

// Close closes the port.
func (u *UDP6) Close() error { return u.conn.Close() }
