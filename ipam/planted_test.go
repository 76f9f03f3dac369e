package ipam_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// The simulation is worth what it finds. Each of these bugs is planted between
// the allocator and what it rests on, so that one step of the protocol is
// without effect; some schedule must show a duplicate or a leak.

// blind does not look for static addresses after it leased a block.
type blind struct{ ipam.Store }

func (b blind) ListAddresses(ctx context.Context, s ipam.Scope) ([]ipam.Address, error) {
	if s.NodeUID == "" {
		return nil, nil
	}
	return b.Store.ListAddresses(ctx, s)
}

// rash does not look for the block of a static address: it binds and goes.
type rash struct{ ipam.Store }

func (r rash) GetBlock(ctx context.Context, name string) (ipam.Block, error) {
	b, err := r.Store.GetBlock(ctx, name)
	if err == nil && !strings.HasSuffix(b.NodeUID, "-uid") {
		return b, err
	}
	return ipam.Block{}, ipam.ErrNotFound
}

// greedy takes "exists already" for success: the name is no lock.
type greedy struct{ ipam.Store }

func (g greedy) CreateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	made, err := g.Store.CreateBlock(ctx, b)
	if errors.Is(err, ipam.ErrExists) {
		made, err = g.Store.GetBlock(ctx, b.Name)
	}
	return made, err
}

// namesake trusts the node's name instead of its UID: here, all nodes look
// like one.
type namesake struct{ ipam.Store }

func (n namesake) ListBlocks(ctx context.Context, s ipam.Scope) ([]ipam.Block, error) {
	uid := s.NodeUID
	s.NodeUID = ""
	all, err := n.Store.ListBlocks(ctx, s)
	for i := range all {
		if uid != "" {
			all[i].NodeUID = uid
		}
	}
	return all, err
}

// settled believes that a region stays as it was first seen.
type settled struct {
	ipam.Store
	seen *sync.Map
}

func (s settled) GetRegion(ctx context.Context, name string) (ipam.Region, error) {
	if r, ok := s.seen.Load(name); ok {
		return r.(ipam.Region), nil
	}
	r, err := s.Store.GetRegion(ctx, name)
	if err == nil {
		s.seen.Store(name, r)
	}
	return r, err
}

// forgetful loses records of a kind.
type forgetful struct {
	ipam.Log
	kind string
}

func (f forgetful) Put(key string, value []byte) error {
	if strings.HasPrefix(key, f.kind) {
		return nil
	}
	return f.Log.Put(key, value)
}

// leaky forgets to delete the objects of bound addresses.
type leaky struct{ ipam.Store }

func (l leaky) DeleteAddress(context.Context, string, string) error { return nil }

// spendthrift takes a block of tokens that exists for its own.
type spendthrift struct{ ipam.Store }

func (s spendthrift) CreateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	if ipam.IsQuota(b.Domain) {
		return greedy(s).CreateBlock(ctx, b)
	}
	return s.Store.CreateBlock(ctx, b)
}

// hoarder never gives tokens back.
type hoarder struct{ ipam.Store }

func (h hoarder) DeleteBlock(ctx context.Context, name, uid string) error {
	if b, err := h.Store.GetBlock(ctx, name); err == nil && ipam.IsQuota(b.Domain) {
		return nil
	}
	return h.Store.DeleteBlock(ctx, name, uid)
}

// untold leaves tokens out of what is logged of a holding, so that they are
// forgotten in a crash.
type untold struct{ ipam.Log }

func (u untold) Put(key string, value []byte) error {
	var r map[string]any
	if strings.HasPrefix(key, "h/") && json.Unmarshal(value, &r) == nil {
		slots, _ := r["s"].([]any)
		r["s"] = slices.DeleteFunc(slots, func(s any) bool { return s.(map[string]any)["t"] == true })
		value, _ = json.Marshal(r)
	}
	return u.Log.Put(key, value)
}

func TestPlantedBugsAreFound(t *testing.T) {
	store := func(f func(ipam.Store) ipam.Store) func(*world) { return func(w *world) { w.wrap = f } }
	log := func(kind string) func(*world) {
		return func(w *world) { w.wrapLog = func(l ipam.Log) ipam.Log { return forgetful{l, kind} } }
	}
	for _, bug := range []struct {
		name  string
		plant func(*world)
	}{
		{"no look for static addresses after a claim", store(func(s ipam.Store) ipam.Store { return blind{s} })},
		{"no look for the block of a static address", store(func(s ipam.Store) ipam.Store { return rash{s} })},
		{"a block that exists is taken for ours", store(func(s ipam.Store) ipam.Store { return greedy{s} })},
		{"the node's name is trusted instead of its UID", store(func(s ipam.Store) ipam.Store { return namesake{s} })},
		{"a region is believed to keep its unit", func(w *world) {
			w.unsettled, w.pods = true, 6
			w.wrap = func(s ipam.Store) ipam.Store { return settled{s, new(sync.Map)} }
		}},
		{"the reply goes out before the log has it", log("h/")},
		{"addresses are freed in the log only", store(func(s ipam.Store) ipam.Store { return leaky{s} })},
		{"a token that exists is taken for ours", store(func(s ipam.Store) ipam.Store { return spendthrift{s} })},
		{"tokens are not given back", store(func(s ipam.Store) ipam.Store { return hoarder{s} })},
		{"tokens are not logged with what they pay for", func(w *world) { w.wrapLog = func(l ipam.Log) ipam.Log { return untold{l} } }},
	} {
		t.Run(bug.name, func(t *testing.T) {
			var found atomic.Int64
			seed := 0
			for ; seed < 200 && found.Load() == 0; seed++ {
				synctest.Test(t, func(t *testing.T) {
					w := &world{t: t, seed: uint64(seed), nodes: 2 + seed%4, pods: 12, quiet: true}
					bug.plant(w)
					duplicates, leaks := w.run()
					found.Store(int64(len(duplicates) + len(leaks)))
				})
			}
			if found.Load() == 0 {
				t.Errorf("not found in %d schedules", seed)
			} else {
				t.Logf("found by schedule %d", seed-1)
			}
		})
	}
}
