package dhcp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// client4 asks for an IPv4 address over an interface.
type client4 struct {
	Ask
	line Line
	// inUse tells who has an address that was offered; nil is nobody.
	inUse func(ctx context.Context, a Ask, x netip.Addr) (net.HardwareAddr, error)
}

var everybody4 = Place{From: netip.IPv4Unspecified(), To: netip.AddrFrom4([4]byte{255, 255, 255, 255})}

func newXID() (x dhcpv4.TransactionID) {
	_, _ = rand.Read(x[:]) // it never fails
	return x
}

// acquire gets an address that the interface has not: from the beginning, or when it had last, by asking for that one again
// (INIT-REBOOT, RFC 2131 clause 3.2). When the context ends it gives up.
func (c client4) acquire(ctx context.Context, last netip.Addr) (Lease, error) {
	began, asked, refusals := time.Now(), 0, 0
	if last.IsValid() {
		a, _, err := c.confirm(ctx, dhcpv4.MessageTypeRequest, netip.Addr{}, last, netip.Addr{}, everybody4, confirming[:2])
		if err == nil && a.kind == dhcpv4.MessageTypeAck {
			return a.lease, nil
		}
	}
	var why string
	for ctx.Err() == nil && refusals < mostRefusals {
		xid := newXID()
		discover := c.message4(dhcpv4.MessageTypeDiscover, xid, netip.Addr{}, c.wish(true), netip.Addr{})
		offer, sent, err := exchange(ctx, c.line, func() ([]byte, Place) { return discover, everybody4 }, searching, func(d wire.Datagram) (answer4, bool) {
			a, ok := read4(d, xid, c.MAC)
			return a, ok && a.kind == dhcpv4.MessageTypeOffer
		})
		asked += sent
		if errors.Is(err, errSilent) {
			if why != "" {
				break
			}
			return Lease{}, c.silence("DISCOVER", asked, time.Since(began), "to 255.255.255.255 port 67")
		}
		if err != nil {
			return Lease{}, err
		}
		if err := c.granted(offer.lease.Address.Addr()); err != nil {
			return Lease{}, err
		}
		l, said, err := c.take(ctx, xid, offer.lease)
		if err == nil {
			return l, nil
		}
		if said == "" {
			return Lease{}, err
		}
		if refusals++; why == "" {
			why = said
		}
	}
	if why == "" {
		return Lease{}, context.Cause(ctx)
	}
	return Lease{}, &ipam.Refusal{Reason: ipam.LeaseRefused, Message: fmt.Sprintf("DHCP on network %s: %s", c.Network, why),
		Fix: "look at the log of the DHCP server, and whether two servers serve the segment"}
}

// mostRefusals is how often it is begun anew when what was offered is not given.
const mostRefusals = 3

// take accepts an offer. Why is set when another attempt makes sense.
func (c client4) take(ctx context.Context, xid dhcpv4.TransactionID, offer Lease) (l Lease, why string, err error) {
	x := offer.Address.Addr()
	request := c.message4(dhcpv4.MessageTypeRequest, xid, netip.Addr{}, x, offer.Server)
	began := time.Now()
	a, sent, err := exchange(ctx, c.line, func() ([]byte, Place) { return request, everybody4 }, confirming, func(d wire.Datagram) (answer4, bool) {
		a, ok := read4(d, xid, c.MAC)
		return a, ok && a.kind != dhcpv4.MessageTypeOffer
	})
	switch {
	case errors.Is(err, errSilent):
		return l, fmt.Sprintf("server %s offered %s, and did not answer the %d REQUESTs for it", offer.Server, x, sent), err
	case err != nil:
		return l, "", err
	case a.kind == dhcpv4.MessageTypeNak:
		return l, fmt.Sprintf("server %s offered %s, and refused it when it was asked for (NAK)%s", a.lease.Server, x, quoted(a.why)), errSilent
	}
	a.lease.asked = began
	if err := c.granted(a.lease.Address.Addr()); err != nil {
		return l, "", err
	}
	if c.inUse == nil {
		return a.lease, "", nil
	}
	mac, err := c.inUse(ctx, c.Ask, x)
	if err != nil {
		return l, "", err
	}
	if mac == nil {
		return a.lease, "", nil
	}
	decline := c.message4(dhcpv4.MessageTypeDecline, newXID(), netip.Addr{}, x, a.lease.Server)
	_ = c.line.Send(decline, everybody4) // the server finds out by itself otherwise
	return l, fmt.Sprintf("server %s gave %s, which %s uses already (DECLINE was sent)", a.lease.Server, x, mac), errSilent
}

// granted refuses an address that was not asked for, if one was.
func (c client4) granted(x netip.Addr) error { return c.granted4or6(x, true) }

func (a Ask) granted4or6(x netip.Addr, v4 bool) error {
	if w := a.wish(v4); w.IsValid() && w != x {
		return &ipam.Refusal{Reason: ipam.LeaseRefused, Message: fmt.Sprintf("DHCP on network %s: address %s is asked for, and the server gives %s", a.Network, w, x),
			Fix: fmt.Sprintf("reserve %s for client id %q at the server, or ask for no address", w, a.ClientID)}
	}
	return nil
}

// confirm sends a REQUEST for an address that was given before and waits for ACK or NAK.
func (c client4) confirm(ctx context.Context, kind dhcpv4.MessageType, of, wanted, server netip.Addr, to Place, pauses []time.Duration) (answer4, int, error) {
	xid := newXID()
	request := c.message4(kind, xid, of, wanted, server)
	began := time.Now()
	a, sent, err := exchange(ctx, c.line, func() ([]byte, Place) { return request, to }, pauses, func(d wire.Datagram) (answer4, bool) {
		a, ok := read4(d, xid, c.MAC)
		return a, ok && a.kind != dhcpv4.MessageTypeOffer
	})
	a.lease.asked = began
	return a, sent, err
}

// extend asks to go on with a lease: the server that gave it, or any. The second value is false when it was refused.
func (c client4) extend(ctx context.Context, l Lease, of stage) (Lease, bool, error) {
	x := l.Address.Addr()
	to := Place{From: x, To: l.Server, MAC: l.Via}
	if of == rebinding {
		to = Place{From: x, To: everybody4.To}
	}
	a, _, err := c.confirm(ctx, dhcpv4.MessageTypeRequest, x, netip.Addr{}, netip.Addr{}, to, confirming[:1])
	if err != nil {
		return l, true, err
	}
	return a.lease, a.kind == dhcpv4.MessageTypeAck, nil
}

// release gives an address back. Nobody answers that.
func (c client4) release(l Lease) error {
	x := l.Address.Addr()
	return c.line.Send(c.message4(dhcpv4.MessageTypeRelease, newXID(), x, netip.Addr{}, l.Server), Place{From: x, To: l.Server, MAC: l.Via})
}

func (a Ask) silence(what string, sent int, waited time.Duration, to string) error {
	return &ipam.Refusal{Reason: ipam.NoLease, Message: fmt.Sprintf("DHCP on network %s (%s): %s was sent %d times in %.0f s %s, and nobody answered",
		a.Network, a.Key.IfName, what, sent, waited.Seconds(), to),
		Fix: "see that a DHCP server serves this segment, and that it and the switch let the Pod's MAC through (tcpdump -ni <uplink of the node> port 67 or port 547)"}
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %q", s)
}
