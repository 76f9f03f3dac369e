package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
	"github.com/tsunagu-net/tsunagu/ipam/journal"
	"github.com/tsunagu-net/tsunagu/kube"
)

// fleet is our side: nodes that share nothing but the API server and this process.
type fleet struct {
	options
	cluster *cluster
	client  *kube.Client
	store   *kube.Addresses
	history oracle.History
	nodes   []*node
	running sync.WaitGroup
	cancel  context.CancelFunc
	names   []string // of pools
}

// node is what there is of a node.
type node struct {
	name, socket     string
	allocator        *ipam.Allocator
	records, journal *journal.Journal
	pools            *kube.Pools
}

// newFleet starts all nodes and waits until they serve.
func newFleet(ctx context.Context, o options) (*fleet, error) {
	ctx, cancel := context.WithCancel(ctx)
	f := &fleet{options: o, cluster: &cluster{}, cancel: cancel}
	var err error
	if f.client, err = connect(o); err != nil {
		return nil, err
	}
	f.store = kube.NewAddresses(f.client, slog.New(slog.DiscardHandler))
	// A fleet is of nodes that were never there before: their UIDs are new.
	born := time.Now().UnixNano()
	for i := range o.nodes {
		n, err := f.boot(ctx, i, fmt.Sprintf("%x-%d", born, i))
		if err != nil {
			f.stop()
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		f.nodes = append(f.nodes, n)
	}
	for _, n := range f.nodes {
		select {
		case <-n.allocator.Ready():
		case <-time.After(30 * time.Second):
			f.stop()
			return nil, fmt.Errorf("node %s does not learn what it holds", n.name)
		}
	}
	return f, nil
}

// connect makes a client with a connection of its own: client-go shares those of clients that dial alike.
func connect(o options) (*kube.Client, error) {
	cfg, err := kube.Config(o.kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = "tsunagu-" + o.name
	cfg.Dial = (&net.Dialer{}).DialContext
	return kube.Connect(cfg, nil)
}

// boot starts one node.
func (f *fleet) boot(ctx context.Context, i int, uid string) (*node, error) {
	n := &node{name: fmt.Sprintf("%s-%d", f.name, i+1)}
	dir := filepath.Join(f.dir, n.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	n.socket = filepath.Join(dir, "cni.sock")
	client, err := connect(f.options)
	if err != nil {
		return nil, err
	}
	for name, to := range map[string]**journal.Journal{"addresses.journal": &n.journal, "sandboxes.journal": &n.records} {
		if *to, _, err = journal.Open(ctx, filepath.Join(dir, name), journal.Options{}); err != nil {
			return nil, err
		}
	}
	log := slog.New(slog.DiscardHandler)
	n.pools = kube.NewPools(client)
	f.running.Go(func() { _ = n.pools.Run(ctx) })
	n.allocator, err = ipam.New(ipam.Options{Node: n.name, NodeUID: uid, Store: kube.NewAddresses(client, log), Log: n.journal, Logger: log, Nodes: f.options.nodes})
	if err != nil {
		return nil, err
	}
	f.running.Go(func() { _ = n.allocator.Run(ctx) })
	server, err := attach.New(attach.Config{
		Pods: f.cluster, Definitions: f.cluster, Pools: n.pools, PodNetwork: podNetwork{i}, Addresses: n.allocator,
		Wirer: notebook{n.name, &f.history}, Ports: noPorts{}, Events: f.cluster, Statuses: f.cluster, Meter: f.cluster, Log: log,
		Records: n.records, Lacks: func() []string { return nil },
	})
	if err != nil {
		return nil, err
	}
	if err := server.Start(ctx); err != nil {
		return nil, err
	}
	l, err := attach.Listen(n.socket)
	if err != nil {
		return nil, err
	}
	f.running.Go(func() { _ = server.Serve(ctx, l) })
	f.running.Go(func() { _ = server.Run(ctx) })
	return n, nil
}

func (f *fleet) stop() {
	f.cancel()
	f.running.Wait()
	for _, n := range f.nodes {
		_ = errors.Join(n.journal.Close(), n.records.Close())
	}
}

// pool makes an IPPool and the definition that draws on it, and waits until every node knows it.
func (f *fleet) pool(ctx context.Context, name, cidr string) error {
	p := &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.IPPoolSpec{Domain: domainOf(name), Subnet: v1alpha1.Subnet{CIDR: cidr}}}
	if err := f.client.Tsunagu.Post().Resource("ippools").Body(p).Do(ctx).Error(); err != nil {
		return fmt.Errorf("make pool %s: %w", name, err)
	}
	f.names = append(f.names, name)
	f.cluster.define(name)
	for _, n := range f.nodes {
		if _, err := n.pools.Pool(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) add(ctx context.Context, p pod, ip string) error {
	f.cluster.make(p, ip)
	return f.call(ctx, "ADD", p)
}

func (f *fleet) del(ctx context.Context, p pod) error {
	defer f.cluster.remove(p)
	return f.call(ctx, "DEL", p)
}

func (f *fleet) uses() *oracle.History { return &f.history }

func (f *fleet) allocated(ctx context.Context) ([]oracle.Use, error) {
	blocks, err := f.store.ListBlocks(ctx, ipam.Scope{})
	if err != nil {
		return nil, err
	}
	addresses, err := f.store.ListAddresses(ctx, ipam.Scope{})
	if err != nil {
		return nil, err
	}
	return oracle.Allocated(blocks, addresses), nil
}

func (f *fleet) fill(context.Context, string, int) (bool, error) { return false, nil }

// reset removes the pools. Blocks go as they do in life, when they have been idle for long enough: other pools do not see them.
func (f *fleet) reset(ctx context.Context) error {
	for _, name := range f.names {
		if err := f.client.Tsunagu.Delete().Resource("ippools").Name(name).Do(ctx).Error(); err != nil {
			return fmt.Errorf("remove pool %s: %w", name, err)
		}
	}
	f.names = nil
	return nil
}

// podNetwork is what every Pod of a node is on besides: addresses of the node's own, for eth0.
type podNetwork struct{ node int }

func (p podNetwork) Pools() []ipam.Pool {
	prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + p.node), 0, 0}), 16)
	return []ipam.Pool{ipam.LocalPool(ipam.PoolName(ipam.PodDomain, prefix), prefix)}
}
func (podNetwork) MTU() int { return 1450 }
func (podNetwork) Prefixes() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")}
}
