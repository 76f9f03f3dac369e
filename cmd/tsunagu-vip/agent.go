package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/tsunagu-net/tsunagu/kernel/clock"
	"github.com/tsunagu-net/tsunagu/vip"
	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/proxy"
	"github.com/tsunagu-net/tsunagu/vip/segment"
)

// node is what runs on this node.
type node struct {
	options
	log     *slog.Logger
	place   segment.Place
	segment *segment.Segment // nil in modes table and bgp
	agent   keeper           // nil on a worker
	proxy   *proxy.Proxy
	check   *proxy.Checker // asks this node's API server
	leave   func() error   // takes the addresses off the node
	detour  detour
	counts  *counts
}

// run puts the parts together and works until ctx ends.
func run(ctx context.Context, o options, log *slog.Logger) (err error) {
	n := &node{options: o, log: log, check: proxy.NewChecker(proxy.Patience), counts: &counts{}}
	for _, dir := range []string{o.stateDir, o.runDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	// The parts below follow inner; the address goes first, then they end.
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if len(o.addresses) > 0 {
		if err := n.own(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.leave()) }()
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end()
	if err := n.serve(inner, &parts); err != nil {
		return err
	}
	if err := n.lead(inner, &parts); err != nil {
		return err
	}
	if n.agent == nil {
		<-ctx.Done()
		return nil
	}
	parts.Go(func() { n.watch(inner) })
	if n.published.name != "" {
		parts.Go(func() { n.publish(inner) })
	}
	return n.agent.Run(ctx)
}

// own prepares this node to have the addresses.
func (n *node) own(ctx context.Context) error {
	if n.mode == byTableMode || n.mode == byBGPMode {
		return n.everywhere()
	}
	place, err := segment.Locate(n.device, n.addresses)
	if err != nil {
		return err
	}
	if n.options.node.IsValid() {
		place.Own = n.options.node
	}
	if !place.Own.IsValid() {
		return fmt.Errorf("interface %s has no address of the family of %s: name one under which the other nodes reach this one (--node-address)", place.Interface, n.addresses[0])
	}
	for _, a := range place.Outside {
		n.log.Warn("the address is outside the interface's subnets: only hosts that have a route to it will ask for it there", "address", a, "interface", place.Interface)
	}
	n.place = place
	if n.segment, err = segment.Open(segment.Config{Interface: place.Interface, Addresses: n.addresses, Log: n.log}); err != nil {
		return err
	}
	n.leave = n.segment.Close
	switch n.mode {
	case byVRRPMode:
		n.agent, err = n.router()
	case byObjectMode:
		n.agent, err = n.holder()
	default:
		n.agent, err = n.member(ctx)
	}
	if err != nil {
		return errors.Join(err, n.segment.Close())
	}
	return nil
}

// now is the node's time.
func now() lease.Instant { return lease.Instant(clock.Boot()) }

// member takes part in the lease.
func (n *node) member(ctx context.Context) (keeper, error) {
	key, err := secret(ctx, n.keyFiles, n.log)
	if err != nil {
		return nil, err
	}
	c := vip.Config{Node: n.place.Own, Port: n.port, Timing: n.timing, Weight: n.weight, Preempt: n.preempt, Key: key, StateDir: n.stateDir, RunDir: n.runDir,
		Addresses: n.addresses, Announcer: counted{n.segment, n.counts}, Now: now, Log: n.log}
	if err := n.begin(ctx, &c); err != nil {
		return nil, err
	}
	a, err := vip.New(c)
	if err != nil {
		return nil, err
	}
	return byLease{a, n.place.Own}, nil
}

func (n *node) begin(ctx context.Context, c *vip.Config) error {
	nic, err := net.InterfaceByName(n.place.Interface)
	if err != nil {
		return fmt.Errorf("look at interface %s: %w", n.place.Interface, err)
	}
	return membership(ctx, n.options, c, nic.Index, nic.HardwareAddr, n.log)
}

// lead runs the proxy.
func (n *node) lead(ctx context.Context, parts *sync.WaitGroup) error {
	if n.options.proxy == "" {
		return nil
	}
	p, err := proxy.New(proxy.NewChecker(proxy.Patience), filepath.Join(n.stateDir, "servers.json"), n.log)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", n.options.proxy)
	if err != nil {
		return fmt.Errorf("listen for this node's programs: %w", err)
	}
	n.proxy = p
	if err := n.knowServers(); err != nil {
		return err
	}
	parts.Go(func() { p.Watch(ctx) })
	parts.Go(func() { n.followServers(ctx) })
	for _, l := range append(n.openDetour(ctx), l) {
		parts.Go(func() {
			if err := p.Serve(ctx, l); err != nil {
				n.log.Error("lead connections to API servers", "err", err)
			}
		})
	}
	return nil
}
