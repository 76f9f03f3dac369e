package overlay

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
	"github.com/tsunagu-net/tsunagu/reconcile"
)

// Device is the name of the tunnel device.
const Device = "tsu-vx"

// settle gathers what happens together, such as a device that comes up with its addresses.
const settle = 5 * time.Millisecond

// spacing bounds the cost of links that never come to rest: a pass reads links, addresses and routes, some milliseconds of work.
const spacing = 100 * time.Millisecond

// Overlay keeps one node's part of the pod network.
type Overlay struct {
	cfg   Config
	self  string
	log   *slog.Logger
	loop  *reconcile.Loop
	table *nft.Table
	nodes reconcile.Picture[[]Node]

	mu     sync.Mutex
	status Status
	podMTU int
	// last is what was wanted in the last pass that went well; changes while it stays the same are repairs.
	last *wanted
}

// New prepares the overlay of the node called self; log says where lines come from. Nothing happens before Run.
func New(cfg Config, self string, log *slog.Logger) (*Overlay, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	o := &Overlay{cfg: cfg, self: self, log: log, podMTU: fallbackMTU, status: Status{Encap: cfg.Encap, PodMTU: fallbackMTU}}
	rules := nft.Options{TunnelPort: uint16(cfg.Port)}
	if cfg.Encap == None || cfg.RulesOnly {
		rules.TunnelPort = 0
	}
	o.table = nft.Open(cfg.Namespace, rules)
	o.loop = reconcile.New(reconcile.Options{Name: "overlay", Settle: settle, Spacing: spacing}, o.log, o.pass)
	return o, nil
}

// SetNodes tells all nodes of the cluster, this one included. The list is complete: routes to nodes that are not in it are removed.
// Before the first call nothing is removed. It does not wait.
func (o *Overlay) SetNodes(nodes []Node) {
	o.nodes.Set(nodes)
	o.loop.Kick()
}

// Run keeps the kernel as wanted until the context ends, which is not an error. Everything stays as it is then, so that Pods go on
// while the agent restarts.
func (o *Overlay) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	for _, part := range []func(context.Context){o.watchLinks, o.watchRules} {
		parts.Go(func() { part(ctx) })
	}
	return o.loop.Run(ctx)
}

// Ready is closed when this node's Pods have been given reach for the first time.
func (o *Overlay) Ready() <-chan struct{} { return o.loop.Ready() }

// PodMTU is the MTU for interfaces of Pods, in bytes. It follows the underlay; before the first look at it, it is 1280, which fits
// everywhere.
func (o *Overlay) PodMTU() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.podMTU
}

// Table is the node's nft table, for hostport.New.
func (o *Overlay) Table() *nft.Table { return o.table }

// pass looks, decides and does once. The rules come first: no packet is to meet routes without them.
func (o *Overlay) pass(ctx context.Context) error {
	wrong, err := o.table.Repair()
	if err != nil {
		return err
	}
	if o.cfg.RulesOnly {
		return nil
	}
	nodes, complete := o.nodes.Get()
	if !complete {
		return reconcile.Waiting("the list of nodes")
	}
	k, err := open(o.cfg.Namespace)
	if err != nil {
		return err
	}
	defer k.close()
	var p plan
	door := reconcile.Door[*state, plan]{
		Observe: func(ctx context.Context) (*state, error) { return o.observe(ctx, k, nodes) },
		Plan: func(s *state) plan {
			p = decide(o.cfg, o.self, nodes, s)
			return p
		},
		Apply: func(ctx context.Context, p plan) error {
			if p.missing != "" {
				return reconcile.Waiting(p.missing)
			}
			return errors.Join(o.table.Replace(nft.ReachSets, p.wanted.contents()), k.apply(ctx, p))
		},
	}
	err = door.Pass(ctx)
	o.record(p, wrong, err)
	return err
}

// observe looks up default routes only when no interface has the node's address.
func (o *Overlay) observe(ctx context.Context, k kernel, nodes []Node) (*state, error) {
	s, err := k.observe(ctx, o.cfg.Port)
	if err != nil {
		return nil, err
	}
	me, _, _ := split(o.self, nodes)
	for _, a := range me.Addresses {
		if _, ok := s.linkWith(a.Unmap().WithZone("")); !ok {
			return s, k.observeDefaults(s)
		}
	}
	return s, nil
}

// record keeps and tells what a pass came to.
func (o *Overlay) record(p plan, wrong []string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &o.status
	if err != nil {
		o.last = nil
	}
	if p.missing != "" || p.wanted.underlayMTU == 0 {
		return
	}
	w := p.wanted
	o.podMTU = w.podMTU
	for _, problem := range w.problems {
		if !contains(s.Problems, problem) {
			o.log.Warn(problem)
		}
	}
	s.Underlay, s.MTU, s.PodMTU, s.Nodes, s.Routes, s.Problems = w.underlay, w.underlayMTU, w.podMTU, w.reached, len(w.routes), w.problems
	changes := p.changes()
	if err != nil {
		return
	}
	w.sysctls = nil // they are wanted only as long as they are not there
	if o.last != nil && reflect.DeepEqual(*o.last, w) && changes+len(wrong) > 0 {
		s.Repairs++
		o.log.Warn("repaired what somebody else changed", "steps", p.String(), "rules", wrong)
	} else if changes > 0 {
		o.log.Info("changed", "steps", changes, "nodes", w.reached, "routes", len(w.routes), "mtu", w.podMTU)
	}
	o.last = &w
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}

// Status says how the overlay is.
func (o *Overlay) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, passes := o.status, o.loop.Status()
	s.LastSuccess = passes.LastSuccess
	if passes.Err != nil {
		s.Err = passes.Err.Error()
	}
	return s
}
