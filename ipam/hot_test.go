package ipam_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	judge "github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// slowLists is a network to an API server whose lists wait for its cache of the kind, as real ones do.
func slowLists(seed uint64) iptest.Gate {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 7))
	return func(ctx context.Context, c iptest.Call, deed func() error) error {
		mu.Lock()
		d := time.Millisecond + time.Duration(random.Int64N(int64(4*time.Millisecond)))
		if c.Verb == "list" {
			d += time.Duration(random.Int64N(int64(150 * time.Millisecond)))
		}
		mu.Unlock()
		time.Sleep(d)
		return deed()
	}
}

// hot is a pool that is nearly full, and in which Pods come and go.
type hot struct {
	cidr               string
	nodes, held, lives int
	flight             int
	runs               time.Duration
	wrap               func(ipam.Store) ipam.Store
}

// heat is what became of it.
type heat struct {
	waits      []time.Duration
	refused    []string
	duplicates []judge.Duplicate
	calls      map[string]int
}

// of is the wait that a part of the lives did not exceed.
func (h heat) of(part float64) time.Duration {
	return h.waits[min(int(part*float64(len(h.waits))), len(h.waits)-1)]
}

func (h heat) mean() (sum time.Duration) {
	for _, w := range h.waits {
		sum += w
	}
	return sum / time.Duration(len(h.waits))
}

// burn fills the pool, then lets so many at once of what it holds go and others come, each on a node that chance draws. There is an
// address free during the whole of every Take.
func (c hot) burn(t *testing.T, seed uint64) (out heat) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		store.Through(slowLists(seed))
		defer time.Sleep(5 * time.Second) // claims that outlive their takes end
		p := poolOf(c.cidr)
		var h judge.History
		type use struct {
			m *machine
			o ipam.Owner
			x ipam.Grant
		}
		var mu sync.Mutex
		var held []use
		random := rand.New(rand.NewPCG(seed, 3))
		var nodes []*machine
		for i := range c.nodes {
			m := &machine{t: t, name: fmt.Sprintf("node-%d", i), uid: fmt.Sprintf("node-uid-%d", i), store: store, nodes: c.nodes, wrap: c.wrap}
			m.boot()
			t.Cleanup(m.kill)
			nodes = append(nodes, m)
		}
		take := func(measured bool) bool {
			mu.Lock()
			m := nodes[random.IntN(len(nodes))]
			mu.Unlock()
			o, begun := nobody(m.name), time.Now()
			grants, err := m.a.Take(context.Background(), o, anyOf(p))
			mu.Lock()
			defer mu.Unlock()
			if measured {
				out.waits = append(out.waits, time.Since(begun))
			}
			if err != nil {
				if measured {
					out.refused = append(out.refused, fmt.Sprintf("after %v: %v", time.Since(begun), err))
				}
				return false
			}
			h.Begin("blue", grants[0].Address.Addr(), judge.HolderOf(m.name, o))
			held = append(held, use{m, o, grants[0]})
			return true
		}
		give := func() {
			mu.Lock()
			i := random.IntN(len(held))
			u := held[i]
			held = slices.Delete(held, i, i+1)
			mu.Unlock()
			h.End("blue", u.x.Address.Addr(), judge.HolderOf(u.m.name, u.o))
			u.m.free(u.o)
		}
		var all sync.WaitGroup
		for range c.flight {
			all.Go(func() {
				for n := 0; n < c.held/c.flight; {
					if take(false) {
						n++
						continue
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		all.Wait()
		time.Sleep(3 * time.Second)
		for range c.flight {
			all.Go(func() {
				for range c.lives / c.flight {
					give()
					mu.Lock()
					rest := time.Duration(random.Int64N(int64(c.runs)))
					mu.Unlock()
					time.Sleep(rest)
					for !take(true) {
						time.Sleep(100 * time.Millisecond)
					}
				}
			})
		}
		all.Wait()
		out.duplicates = h.Duplicates()
		out.calls = map[string]int{}
		for _, call := range []string{"list block", "list address", "create block", "create address", "update block", "delete block", "delete address", "get block", "get address"} {
			var verb, kind string
			fmt.Sscan(call, &verb, &kind)
			out.calls[call] = store.Count(verb, kind)
		}
	})
	slices.Sort(out.waits)
	return out
}

// A Pod is never refused while an address is free that nobody uses, however the counts that nodes tell lag behind.
func TestNoRefusalWhileAnAddressIsFree(t *testing.T) {
	for seed := range uint64(3) {
		h := hot{cidr: "10.1.2.0/24", nodes: 50, held: 220, lives: 1000, flight: 20, runs: 20 * time.Millisecond}.burn(t, seed)
		t.Logf("seed %d: mean %v, p50 %v, p90 %v, p99 %v, longest %v; %v", seed, h.mean(), h.of(.5), h.of(.9), h.of(.99), h.of(1), h.calls)
		for _, d := range h.duplicates {
			t.Error(d)
		}
		for i, r := range h.refused {
			if i < 3 {
				t.Error(r)
			}
		}
		if n := len(h.refused); n > 0 {
			t.Errorf("%d of %d were refused, and at least 14 addresses were free all the time", n, len(h.waits))
		}
	}
}

// mute never tells that less of a block is used than it told once.
type mute struct{ ipam.Store }

func (m mute) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	if old, err := m.Store.GetBlock(ctx, b.Name); err == nil {
		b.Used |= old.Used
	}
	return m.Store.UpdateBlock(ctx, b)
}

// The property is worth what it finds.
func TestRefusalsByPlantedBugsAreFound(t *testing.T) {
	c := hot{cidr: "10.1.2.0/24", nodes: 50, held: 220, lives: 1000, flight: 20, runs: 20 * time.Millisecond}
	for name, wrap := range map[string]func(ipam.Store) ipam.Store{
		"what is free is never told": func(s ipam.Store) ipam.Store { return mute{s} },
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			c.wrap = wrap
			for seed := range uint64(5) {
				if h := c.burn(t, seed); len(h.refused) > 0 {
					return
				}
			}
			t.Error("not found in 5 schedules")
		})
	}
}
