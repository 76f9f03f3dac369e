package dhcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// Ports of servers and clients (RFC 2131 clause 4.1, RFC 8415 section 7.2).
const (
	serverPort4, clientPort4 = 67, 68
	serverPort6, clientPort6 = 547, 546
)

// OpenLine opens the interface that asks, in its namespace. The error is netns.ErrGone when that is gone, or another one stands there.
func OpenLine(ctx context.Context, a Ask, v4 bool) (Line, error) {
	ns, err := netns.Open(a.NetNS)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if a.NetNSID != (netns.ID{}) && ns.ID() != a.NetNSID {
		return nil, fmt.Errorf("another namespace is at %s: %w", a.NetNS, netns.ErrGone)
	}
	if v4 {
		var line line4
		err := ns.Do(func() (err error) {
			line.UDP4, err = wire.ListenUDP4Here(a.Index, clientPort4, serverPort4)
			return err
		})
		if err != nil {
			return nil, err
		}
		return line, nil
	}
	own, err := linkLocal(ctx, ns, a)
	if err != nil {
		return nil, err
	}
	var line line6
	err = ns.Do(func() (err error) {
		line.UDP6, err = wire.ListenUDP6Here(a.Index, own, clientPort6, serverPort6)
		return err
	})
	if err != nil {
		return nil, err
	}
	return line, nil
}

type line4 struct{ *wire.UDP4 }

func (l line4) Send(message []byte, to Place) error {
	return l.UDP4.Send(message, to.From, to.To, to.MAC)
}

// Close does not wait for the kernel.
func (l line4) Close() error {
	go l.UDP4.Close()
	return nil
}

type line6 struct{ *wire.UDP6 }

func (l line6) Send(message []byte, to Place) error { return l.UDP6.Send(message, to.To) }

// linkLocal waits until the interface's own address can be used: the kernel looks for duplicates of it first, for about a second
// (RFC 4862 clause 5.4).
func linkLocal(ctx context.Context, ns *netns.Namespace, a Ask) (netip.Addr, error) {
	conn, err := link.Dial(ns)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	knob := "ipv6/conf/" + a.Key.IfName + "/disable_ipv6"
	if err := ns.Do(func() error {
		if link.ReadHere(knob) == "1" {
			return link.WriteHere(knob, "0")
		}
		return nil
	}); err != nil {
		return netip.Addr{}, err
	}
	for {
		addresses, err := conn.AddressesOf(a.Index)
		if err != nil {
			return netip.Addr{}, err
		}
		for _, one := range addresses {
			if x := one.Prefix.Addr(); x.Is6() && x.IsLinkLocalUnicast() && !one.Tentative && !one.Duplicate {
				return x, nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return netip.Addr{}, fmt.Errorf("wait for the link-local address of %s: %w", a.Key.IfName, context.Cause(ctx))
		}
	}
}

// InUse tells who has an address on the segment of an interface that has not got it yet (RFC 5227 clause 2.1.1, RFC 4862 clause 5.4.2);
// nil is nobody.
func InUse(ctx context.Context, a Ask, x netip.Addr) (net.HardwareAddr, error) {
	ns, err := netns.Open(a.NetNS)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	var asker *wire.Asker
	if err := ns.Do(func() (err error) {
		asker, err = wire.AskHere([]wire.Question{{Index: a.Index, MAC: a.MAC, Target: x}})
		return err
	}); err != nil {
		return nil, err
	}
	seen, err := asker.Ask(ctx, 2, probeWait)
	go asker.Close() // the kernel takes its time
	if err != nil || len(seen) == 0 {
		return nil, err
	}
	return seen[0].MAC, nil
}

// probeWait is how long the segment is listened to.
const probeWait = 50 * time.Millisecond
