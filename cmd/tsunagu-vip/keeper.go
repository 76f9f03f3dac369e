package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/vip"
	"github.com/tsunagu-net/tsunagu/vip/control"
)

// keeper finds out which node has the addresses, with those of other nodes.
type keeper interface {
	// Run takes part until ctx ends.
	Run(ctx context.Context) error
	// SetReady tells whether this node would serve well.
	SetReady(ctx context.Context, ready bool) error
	Handover(ctx context.Context, to netip.Addr) error
	Remove(ctx context.Context, nodes ...netip.Addr) error
	Look(ctx context.Context) (control.Status, error)
	// Refused counts what other hosts said and is not believed.
	Refused() int64
}

// byLease is a keeper.
type byLease struct {
	*vip.Agent
	own netip.Addr
}

// Look is of keeper.
func (k byLease) Look(ctx context.Context) (control.Status, error) {
	s, err := k.Status(ctx)
	if err != nil {
		return control.Status{}, err
	}
	return control.Describe(k.own, s), nil
}

// byVRRP is a keeper.
type byVRRP struct{ *vip.Router }

// Look is of keeper.
func (k byVRRP) Look(ctx context.Context) (control.Status, error) {
	s, err := k.Status(ctx)
	if err != nil {
		return control.Status{}, err
	}
	return control.DescribeVRRP(s), nil
}

// router takes part in VRRP.
func (n *node) router() (keeper, error) {
	c := vip.RouterConfig{Config: n.vrrp, Interface: n.place.Interface, Peers: n.peers, Announcer: counted{n.segment, n.counts}, Now: now, Log: n.log}
	c.Self, c.Preempt = n.place.Own, n.preempt
	if c.Self.Is6() && !n.options.node.IsValid() {
		own, err := linkLocal(n.place.Interface)
		if err != nil {
			return nil, err
		}
		c.Self = own
	}
	if c.Self.Is4() != n.addresses[0].Is4() {
		return nil, fmt.Errorf("--node-address %s is not of the address family of %s", c.Self, n.addresses[0])
	}
	r, err := vip.NewRouter(c)
	if err != nil {
		return nil, err
	}
	return byVRRP{r}, nil
}

// linkLocal is the address that VRRP speaks from with IPv6 (RFC 9568 §5.1.2.1).
func linkLocal(device string) (netip.Addr, error) {
	c, err := link.DialHere()
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	nic, err := c.ByName(device)
	if err != nil {
		return netip.Addr{}, err
	}
	all, err := c.Addresses()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if a.Index == nic.Index && a.Prefix.Addr().Is6() && a.Prefix.Addr().IsLinkLocalUnicast() {
			return a.Prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no link-local address, from which VRRP speaks with IPv6: name an address (--node-address)", device)
}
