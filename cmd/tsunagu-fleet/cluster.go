package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

const namespace = "fleet"

// cluster is what agents know of Pods and definitions. It is in memory: reading Pods is not what is measured, and the status of a Pod
// is no matter of addresses.
type cluster struct {
	pods        sync.Map // name → attach.Pod
	definitions sync.Map // name → attach.Definition
}

// make makes a Pod that selects its pool's network.
func (c *cluster) make(p pod, ip string) {
	networks := p.pool
	if ip != "" {
		networks = fmt.Sprintf(`[{"name":%q,"ips":[%q]}]`, p.pool, ip)
	}
	c.pods.Store(p.name, attach.Pod{Namespace: namespace, Name: p.name, UID: "uid-" + p.name, Networks: networks})
}

func (c *cluster) remove(p pod) { c.pods.Delete(p.name) }

// define makes the network of a pool.
func (c *cluster) define(pool string) {
	config := fmt.Sprintf(`{"cniVersion":"1.0.0","name":%q,"type":"macvlan","master":"up1","mode":"bridge","ipam":{"type":"tsunagu","pools":[%q]}}`, pool, pool)
	c.definitions.Store(pool, attach.Definition{Namespace: namespace, Name: pool, Config: config})
}

// Pod implements attach.Pods.
func (c *cluster) Pod(_ context.Context, _, name, uid string) (attach.Pod, error) {
	if p, ok := c.pods.Load(name); ok && p.(attach.Pod).Is(uid) {
		return p.(attach.Pod), nil
	}
	return attach.Pod{}, fmt.Errorf("Pod %s: %w", name, attach.ErrNotFound)
}

// Known implements attach.Pods.
func (c *cluster) Known() (map[string]bool, bool) { return nil, false }

// Definition implements attach.Definitions.
func (c *cluster) Definition(_ context.Context, _, name string) (attach.Definition, error) {
	if d, ok := c.definitions.Load(name); ok {
		return d.(attach.Definition), nil
	}
	return attach.Definition{}, attach.ErrNotFound
}

// All implements attach.Definitions.
func (c *cluster) All() []attach.Definition { return nil }

// Warn and Note implement attach.Events.
func (c *cluster) Warn(attach.Pod, string, string) {}
func (c *cluster) Note(attach.Pod, string, string) {}

// Report implements attach.Statuses.
func (c *cluster) Report(context.Context, attach.Pod, string) error { return nil }

// Verb and Stage implement attach.Meter.
func (c *cluster) Verb(string, string, time.Duration)  {}
func (c *cluster) Stranger(string, string)             {}
func (c *cluster) Stage(string, string, time.Duration) {}

// notebook stands where interfaces are made: it notes who has which address of a shared pool, from when it would be on the interface
// to when it would be off.
type notebook struct {
	node    string
	history *oracle.History
}

// Wire implements attach.Wirer.
func (n notebook) Wire(_ context.Context, _ string, list []kind.Attachment) ([]kind.Wired, error) {
	wired := make([]kind.Wired, 0, len(list))
	for _, a := range list {
		w := kind.Wired{ContainerID: a.ContainerID, IfName: a.IfName, Network: a.Network, Type: "macvlan", MAC: "02:00:00:00:00:01", MTU: 1500, Addresses: a.Addresses}
		wired = append(wired, w)
		for _, x := range shared(w) {
			n.history.Begin(domainOf(w.Network), x, oracle.Holder{Node: n.node, ContainerID: a.ContainerID, IfName: a.IfName})
		}
	}
	return wired, nil
}

// Detach implements attach.Wirer; no Pod of the bench changes its networks.
func (n notebook) Detach(ctx context.Context, netns string, records []kind.Record) error {
	return n.Unwire(ctx, netns, records)
}

// Unwire implements attach.Wirer.
func (n notebook) Unwire(_ context.Context, _ string, records []kind.Record) error {
	for _, w := range records {
		for _, x := range shared(w) {
			n.history.End(domainOf(w.Network), x, oracle.Holder{Node: n.node, ContainerID: w.ContainerID, IfName: w.IfName})
		}
	}
	return nil
}

// shared are the addresses that come of a pool which nodes share.
func shared(w kind.Wired) (out []netip.Addr) {
	if w.IfName == podInterface {
		return nil
	}
	for _, a := range w.Addresses {
		out = append(out, a.Prefix.Addr())
	}
	return out
}

// domainOf is the address space of a pool, or of its network ("namespace/pool").
func domainOf(pool string) string {
	if _, name, ok := strings.Cut(pool, "/"); ok {
		pool = name
	}
	domain, _, _ := strings.Cut(pool, "-")
	return domain
}

// Check, Orphans, Remove and Mend implement attach.Wirer.
func (notebook) Readdress(_ context.Context, _ string, r kind.Record, _ kind.Layout) (kind.Wired, error) {
	return r, nil
}
func (notebook) Check(context.Context, string, []kind.Record) error            { return nil }
func (notebook) Orphans(context.Context, []kind.Record) ([]kind.Orphan, error) { return nil, nil }
func (notebook) Remove(context.Context, []kind.Orphan) error                   { return nil }
func (notebook) Seek(context.Context, string, kind.Record, []netip.Addr) ([]kind.Stranger, error) {
	return nil, nil
}
func (notebook) Gateways(context.Context, string, kind.Record, []netip.Addr) ([]netip.Addr, error) {
	return nil, nil
}
func (notebook) Observe(context.Context, string) (map[string]kind.Observed, error) { return nil, nil }
func (notebook) Reroute(context.Context, string, string, []netip.Addr, []netip.Prefix) error {
	return nil
}
func (notebook) Keep(context.Context, string, string, []kind.Route, []netip.Prefix) error { return nil }
func (notebook) Inventory(context.Context) ([]kind.Found, error)                          { return nil, nil }
func (notebook) Mend(context.Context, []kind.Record) (lost []netip.Addr, _ error)         { return nil, nil }

// noPorts implements attach.Ports: Pods of the fleet have none.
type noPorts struct{}

func (noPorts) Set(context.Context, hostport.Sandbox) error    { return nil }
func (noPorts) Delete(context.Context, string) error           { return nil }
func (noPorts) Sync(context.Context, []hostport.Sandbox) error { return nil }
