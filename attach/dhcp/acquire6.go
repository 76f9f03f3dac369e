package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// client6 asks for an IPv6 address over an interface (RFC 8415 section 18).
type client6 struct {
	Ask
	line  Line
	inUse func(ctx context.Context, a Ask, x netip.Addr) (net.HardwareAddr, error)
}

// ask sends a message and waits for the answer.
func (c client6) ask(ctx context.Context, kind, answer dhcpv6.MessageType, has netip.Addr, server []byte, pauses []time.Duration) (answer6, int, error) {
	began := time.Now()
	m, err := c.message6(kind, began, has, server)
	if err != nil {
		return answer6{}, 0, fmt.Errorf("render %s: %w", kind, err)
	}
	said, sent, err := exchange(ctx, c.line, func() ([]byte, Place) { return m.ToBytes(), servers6 }, pauses, func(d wire.Datagram) (answer6, bool) {
		a, ok := read6(d, m, c.Ask)
		return a, ok && a.kind == answer
	})
	said.lease.asked = began
	return said, sent, err
}

// acquire gets an address that the interface has not; last is asked for again. When the context ends it gives up.
func (c client6) acquire(ctx context.Context, last netip.Addr) (Lease, error) {
	began, asked := time.Now(), 0
	if w := c.wish(false); w.IsValid() {
		last = w
	}
	var why string
	for tries := 0; ctx.Err() == nil && tries < mostRefusals; tries++ {
		offer, sent, err := c.ask(ctx, dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeAdvertise, last, nil, searching)
		asked += sent
		switch {
		case errors.Is(err, errSilent) && why == "":
			return Lease{}, c.silence("SOLICIT", asked, time.Since(began), "to ff02::1:2 port 547")
		case errors.Is(err, errSilent):
			return Lease{}, c.refused6(why)
		case err != nil:
			return Lease{}, err
		case offer.status != iana.StatusSuccess:
			why = fmt.Sprintf("server %s has no address to give (%s)%s", offer.lease.Server, offer.status, quoted(offer.why))
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		reply, sent, err := c.ask(ctx, dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeReply, offer.lease.Address.Addr(), offer.lease.ServerID, confirming)
		switch {
		case errors.Is(err, errSilent):
			why = fmt.Sprintf("server %s offered %s, and did not answer the %d REQUESTs for it", offer.lease.Server, offer.lease.Address.Addr(), sent)
			continue
		case err != nil:
			return Lease{}, err
		case reply.status != iana.StatusSuccess:
			why = fmt.Sprintf("server %s offered %s, and did not give it (%s)%s", offer.lease.Server, offer.lease.Address.Addr(), reply.status, quoted(reply.why))
			continue
		}
		x := reply.lease.Address.Addr()
		if err := c.granted4or6(x, false); err != nil {
			return Lease{}, err
		}
		if c.inUse != nil {
			mac, err := c.inUse(ctx, c.Ask, x)
			if err != nil {
				return Lease{}, err
			}
			if mac != nil {
				why = fmt.Sprintf("server %s gave %s, which %s uses already (DECLINE was sent)", reply.lease.Server, x, mac)
				_, _, _ = c.ask(ctx, dhcpv6.MessageTypeDecline, dhcpv6.MessageTypeReply, x, reply.lease.ServerID, confirming[:1])
				continue
			}
		}
		return reply.lease, nil
	}
	if why == "" {
		return Lease{}, context.Cause(ctx)
	}
	return Lease{}, c.refused6(why)
}

func (c client6) refused6(why string) error {
	return &ipam.Refusal{Reason: ipam.LeaseRefused, Message: fmt.Sprintf("DHCPv6 on network %s: %s", c.Network, why),
		Fix: "look at the log of the DHCPv6 server"}
}

// extend asks to go on with a lease: the server that gave it, or any. The second value is false when it was refused.
func (c client6) extend(ctx context.Context, l Lease, of stage) (Lease, bool, error) {
	kind, server := dhcpv6.MessageTypeRenew, l.ServerID
	if of == rebinding {
		kind, server = dhcpv6.MessageTypeRebind, nil
	}
	a, _, err := c.ask(ctx, kind, dhcpv6.MessageTypeReply, l.Address.Addr(), server, confirming[:1])
	if err != nil {
		return l, true, err
	}
	return a.lease, a.status == iana.StatusSuccess, nil
}

// release gives an address back. The answer is not waited for: the interface goes.
func (c client6) release(l Lease) error {
	m, err := c.message6(dhcpv6.MessageTypeRelease, time.Now(), l.Address.Addr(), l.ServerID)
	if err != nil {
		return err
	}
	return c.line.Send(m.ToBytes(), servers6)
}
