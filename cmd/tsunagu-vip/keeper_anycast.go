package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/bgp"
	"github.com/tsunagu-net/tsunagu/bgp/speaker"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/vip/anycast"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
	"github.com/tsunagu-net/tsunagu/vip/control"
)

// byAnycast is a keeper where nothing is kept from others: every node has the addresses while it would serve well.
type byAnycast struct {
	*anycast.Anycast
	mode     string
	own      netip.Addr
	counts   *counts
	sessions func() []bgp.Session // nil without BGP
}

// errNobodyElse is the answer to questions about other nodes.
var errNobodyElse = errors.New("with --mode=table and bgp every node has the addresses that would serve well, and none knows of others")

// Run waits; the addresses go with the Anycast.
func (k byAnycast) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// SetReady is of keeper.
func (k byAnycast) SetReady(_ context.Context, ready bool) error {
	if ready {
		k.counts.gained.Add(1)
	} else if k.counts.owns.Load() {
		k.counts.lost.Add(1)
	}
	k.counts.owns.Store(ready)
	k.Have(ready)
	return nil
}

// Handover is of keeper.
func (k byAnycast) Handover(context.Context, netip.Addr) error {
	return fmt.Errorf("hand over: %w", errNobodyElse)
}

// Remove is of keeper.
func (k byAnycast) Remove(context.Context, ...netip.Addr) error {
	return fmt.Errorf("remove: %w", errNobodyElse)
}

// Refused is of keeper: nobody says anything.
func (k byAnycast) Refused() int64 { return 0 }

// Look is of keeper.
func (k byAnycast) Look(context.Context) (control.Status, error) {
	v := control.Status{Mode: k.mode, Node: k.own.String(), Owns: k.Has(), Members: []control.Node{{Address: k.own.String(), Self: true, Ready: k.counts.ready.Load(), Weight: 1}}}
	if v.Owns {
		v.Owner = v.Node
	}
	if k.sessions != nil {
		v.Peers = control.DescribeBGP(k.sessions())
	}
	return v, nil
}

// everywhere prepares this node to have the addresses, and to tell routers of them.
func (n *node) everywhere() error {
	own, err := aside(n.addresses)
	if n.options.node.IsValid() {
		own = n.options.node
	}
	switch {
	case err != nil:
		return err
	case !own.IsValid():
		return fmt.Errorf("this node has no address of the family of %s: name one under which others reach it (--node-address)", n.addresses[0])
	}
	n.place.Own = own
	k := byAnycast{mode: n.mode, own: own, counts: n.counts}
	var by anycast.Teller
	if n.mode == byTableMode {
		by, err = anycast.NewTable(n.routes.number, n.routes.protocol, n.addresses)
	} else {
		by, err = n.speak(&k)
	}
	if err != nil {
		return err
	}
	if k.Anycast, err = anycast.Open(n.addresses, by, n.log); err != nil {
		return errors.Join(err, by.Close())
	}
	n.agent, n.leave = k, k.Close
	return nil
}

// speak begins to speak BGP.
func (n *node) speak(k *byAnycast) (anycast.Teller, error) {
	c := n.bgp
	if !c.RouterID.IsValid() {
		if c.RouterID = k.own; !k.own.Is4() {
			return nil, errors.New("this node has no IPv4 address that could be its BGP router ID: name one that no other router has (--bgp-router-id)")
		}
	}
	if n.bgpPasswordFile != "" {
		var err error
		if c.Password, err = passwordIn(n.bgpPasswordFile); err != nil {
			return nil, err
		}
	}
	s, err := speaker.Open(c, n.log)
	if err != nil {
		return nil, err
	}
	k.sessions = s.Sessions
	return anycast.NewSpeaker(s, n.addresses), nil
}

// aside gives the node's own address, and refuses addresses that hosts of a segment would ask for by ARP: every node would answer.
func aside(addresses []netip.Addr) (own netip.Addr, err error) {
	c, err := link.DialHere()
	if err != nil {
		return own, err
	}
	defer c.Close()
	have, err := c.Addresses()
	if err != nil {
		return own, err
	}
	for _, h := range have {
		l, err := c.ByIndex(h.Index)
		if err != nil || l.Loopback || l.Name == carrier.Device || h.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		for _, a := range addresses {
			if !h.Prefix.IsSingleIP() && h.Prefix.Contains(a) {
				return own, fmt.Errorf("address %s is in the subnet %s of %s, where hosts ask for it by ARP or neighbour discovery and every node would answer: choose one of no subnet, or --mode=lease", a, h.Prefix.Masked(), l.Name)
			}
		}
		if !own.IsValid() && h.Prefix.Addr().Is4() == addresses[0].Is4() && h.Prefix.Addr().IsGlobalUnicast() {
			own = h.Prefix.Addr()
		}
	}
	return own, nil
}
