package ipam_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// An agent that was killed knows after its restart what it gave out.
func TestRestartKeepsWhatWasGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		one, two := nobody("one"), nobody("two")
		first := m.take(one, anyOf(p))
		fixed := m.take(two, static(p, "10.1.2.200"))
		m.kill()
		m.boot()
		if got := m.take(one, anyOf(p)); got != first {
			t.Errorf("after the restart the same key got %s, had %s", got, first)
		}
		if got := m.take(two, static(p, "10.1.2.200")); got != fixed {
			t.Errorf("after the restart the same key got %s, had %s", got, fixed)
		}
		if got := m.take(nobody("three"), anyOf(p)); got == first || got == fixed {
			t.Errorf("%s is given twice", got)
		}
		if n := store.Count("create", "block"); n != 1 {
			t.Errorf("%d blocks were leased, one is enough", n)
		}
	})
}

// An agent that is killed before it told how full a block is tells it when it is back: in both directions.
func TestRestartTellsWhatIsUsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		one, two := nobody("one"), nobody("two")
		used := func() (n int) {
			_, blocks, _ := store.Objects()
			for _, b := range blocks {
				n += b.UsedCount
			}
			return n
		}
		m.take(one, anyOf(p))
		m.take(two, anyOf(p))
		m.kill()
		m.boot()
		time.Sleep(10 * time.Second)
		if n := used(); n != 2 {
			t.Errorf("the block tells of %d addresses in use, want 2", n)
		}
		m.free(one)
		m.free(two)
		m.kill()
		m.boot()
		time.Sleep(10 * time.Second)
		if n := used(); n != 0 {
			t.Errorf("the block tells of %d addresses in use, want none", n)
		}
	})
}

// An owner that is away is named, also when the API server goes away while it is waited for.
func TestOwnerThatDoesNotAnswerIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := poolOf("10.1.2.0/24")
		owner, asker := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3)
		first := netip.MustParsePrefix(owner.take(nobody("one"), anyOf(p))).Addr()
		owner.kill()
		asked := false
		store.Through(func(ctx context.Context, c iptest.Call, do func() error) error {
			if asked && c.Verb == "get" && c.Kind == "block" {
				<-ctx.Done()
				return ctx.Err()
			}
			asked = asked || c.Verb == "update" && c.Kind == "block"
			return do()
		})
		err := asker.refused(nobody("two"), static(p, first.Next().String()), ipam.Taken)
		if !asked || !strings.Contains(err.Error(), "leased to node "+owner.name+", which does not answer") {
			t.Errorf("asked %v: %v", asked, err)
		}
	})
}

// DEL works from the log while the API server is away, and reaches it later.
func TestFreeWithoutTheAPIServerAndOverARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		o := nobody("s")
		m.take(o, static(p, "10.1.2.200"))
		store.Through(func(context.Context, iptest.Call, func() error) error { return errors.New("down") })
		m.kill()
		m.boot()
		m.free(o)
		m.kill()
		m.boot()
		time.Sleep(10 * time.Second)
		store.Through(nil)
		time.Sleep(10 * time.Second)
		if _, _, bound := store.Objects(); len(bound) != 0 {
			t.Errorf("left: %v", bound)
		}
		other := newMachine(t, store, 2, 3)
		other.take(nobody("next"), static(p, "10.1.2.200"))
	})
}

// An uninstall takes all objects along. The agents that come back claim what
// their Pods use before they give out anything new.
func TestReinstall(t *testing.T) {
	for _, alive := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			store := iptest.NewStore()
			var nodes []*machine
			p := poolOf("10.1.2.0/26")
			used := map[string]ipam.Owner{}
			for i := range 3 {
				m := newMachine(t, store, i, 3)
				nodes = append(nodes, m)
				for range 5 {
					o := nobody(m.name)
					used[m.take(o, anyOf(p))] = o
				}
			}
			o := nobody("s")
			used[nodes[2].take(o, static(p, "10.1.2.60"))] = o
			if !alive {
				for _, m := range nodes {
					m.kill()
				}
			}
			store.Wipe()
			if !alive {
				for _, m := range nodes {
					m.boot()
				}
			}
			time.Sleep(10 * time.Second)
			for range 15 {
				for _, m := range nodes {
					grants, err := m.a.Take(context.Background(), nobody("new"), anyOf(p))
					if err != nil {
						continue // it gets full
					}
					a := grants[0].Address.String()
					if other, twice := used[a]; twice {
						t.Fatalf("agents alive %v: %s is given out and used by %s", alive, a, other.Key)
					}
					used[a] = ipam.Owner{}
				}
			}
			if len(used) < 60 {
				t.Errorf("agents alive %v: only %d of 61 addresses in use at the end", alive, len(used))
			}
		})
	}
}

// Somebody else leased the block while we were away: our Pod keeps its
// address, and nobody gets it again, unless it was given out already; then it
// is told.
func TestConflictIsFrozen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3)
		p := poolOf("10.1.2.0/24")
		a, b := nobody("a"), nobody("b")
		one.take(a, anyOf(p))
		one.take(b, anyOf(p))
		one.kill()
		store.Wipe()
		time.Sleep(time.Second)
		if got := two.take(nobody("c"), anyOf(p)); got != "10.1.2.1/24" {
			t.Fatalf("got %s, the test needs a conflict", got)
		}
		one.boot()
		time.Sleep(5 * time.Second)
		for range 40 {
			if got := two.take(nobody("d"), anyOf(p)); got == "10.1.2.2/24" {
				t.Fatal("an address in use on the other node was given out")
			}
		}
		if got := one.take(a, anyOf(p)); got != "10.1.2.1/24" {
			t.Errorf("the Pod lost its address: %s", got)
		}
		one.free(a)
		one.free(b)
		time.Sleep(10 * time.Second)
		two.take(nobody("again"), static(p, "10.1.2.2"))
		err := two.refused(nobody("x"), static(p, "10.1.2.1"), ipam.Taken)
		if !strings.Contains(err.Error(), "test/c") {
			t.Error(err)
		}
	})
}

// A reboot destroys every sandbox and the log with them.
func TestRebootFreesEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/28")
		m.take(nobody("a"), anyOf(p))
		m.take(nobody("s"), static(p, "10.1.2.14"))
		m.kill()
		m.disk.Lose()
		m.boot()
		<-m.a.Ready()
		orphans, err := m.a.Orphans(context.Background())
		if err != nil || len(orphans) != 1 || orphans[0].Owner.Pod != "s" {
			t.Fatalf("orphans: %v, %v", orphans, err)
		}
		if err := m.a.DeleteOrphan(context.Background(), orphans[0]); err != nil {
			t.Fatal(err)
		}
		for range 14 {
			m.take(nobody("n"), anyOf(p))
		}
	})
}

// A node that was made anew under its old name owns nothing of its forebear.
func TestNameIsNoIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		old := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		first := old.take(nobody("a"), anyOf(p))
		again := &machine{t: t, name: old.name, uid: "another-uid", store: store, nodes: 3}
		again.boot()
		t.Cleanup(again.kill)
		for range 40 {
			if got := again.take(nobody("b"), anyOf(p)); got == first {
				t.Fatal("given twice")
			}
		}
	})
}

// What this node adopted was found on it after the log was lost.
func TestAdopt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		o := nobody("a")
		grants, err := m.a.Take(context.Background(), o, anyOf(p))
		if err != nil {
			t.Fatal(err)
		}
		m.kill()
		m.disk.Lose()
		a, err := ipam.New(ipam.Options{Node: m.name, NodeUID: m.uid, Store: store.As(m.name), Log: m.disk.Boot(), Nodes: 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Adopt(ipam.Holding{Owner: o, Grants: grants}, []ipam.Pool{p}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = a.Run(ctx) }()
		defer func() { cancel(); <-done }()
		got, err := a.Take(context.Background(), nobody("b"), anyOf(p))
		if err != nil || got[0].Address == grants[0].Address {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// Blocks that nothing uses go back.
func TestIdleBlocksGoBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		var owners []ipam.Owner
		for range 100 {
			o := nobody("a")
			m.take(o, anyOf(p))
			owners = append(owners, o)
		}
		for _, o := range owners {
			m.free(o)
		}
		time.Sleep(3 * time.Second)
		if _, blocks, _ := store.Objects(); len(blocks) < 2 {
			t.Errorf("%d blocks: they are kept for a while, in case the Pods come back", len(blocks))
		}
		time.Sleep(2 * time.Minute)
		if _, blocks, _ := store.Objects(); len(blocks) != 1 {
			t.Errorf("%d blocks are left after two minutes, want one", len(blocks))
		}
		time.Sleep(15 * time.Minute)
		if _, blocks, _ := store.Objects(); len(blocks) != 0 {
			t.Errorf("%d blocks are left after a quarter of an hour", len(blocks))
		}
	})
}

// A node registered anew while the object of an address in use is still its
// forebear's: the interface keeps the address, and when both are gone it is
// given out again.
func TestFrozenAddressComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		o := nobody("s")
		store.Through(func(_ context.Context, c iptest.Call, deed func() error) error {
			if c.Verb == "create" && c.Kind == "block" {
				return errors.New("not yet") // it would be the forebear's
			}
			return deed()
		})
		m.take(o, static(p, "10.1.2.5"))
		m.kill()
		time.Sleep(5 * time.Second)
		store.Through(nil)
		m.uid = "registered-anew"
		m.boot()
		time.Sleep(5 * time.Second)
		d, x := nobody("d"), nobody("x")
		m.take(d, anyOf(p)) // leases the block around it
		_, _, bound := store.Objects()
		if len(bound) != 1 || bound[0].NodeUID == m.uid {
			t.Fatalf("the test needs the forebear's object: %v", bound)
		}
		m.refused(nobody("x"), static(p, "10.1.2.5"), ipam.Taken)
		m.free(o)
		m.refused(nobody("x"), static(p, "10.1.2.5"), ipam.Taken)
		store.Release(bound[0].Meta)
		time.Sleep(20 * time.Second)
		m.take(x, static(p, "10.1.2.5"))
		m.free(x)
		m.free(d)
		time.Sleep(20 * time.Minute)
		if _, blocks, _ := store.Objects(); len(blocks) != 0 {
			t.Errorf("something is in use for ever: %v", blocks)
		}
	})
}

// Two interfaces were found with one address: it is free when the second is
// gone, whichever that is.
func TestAddressFoundTwice(t *testing.T) {
	for _, first := range []int{0, 1} {
		bubble(t, func(t *testing.T) {
			store := iptest.NewStore()
			p := poolOf("10.1.2.0/24")
			m := &machine{t: t, name: "n", uid: "u", store: store, nodes: 3}
			log := m.disk.Boot()
			a, err := ipam.New(ipam.Options{Node: "n", NodeUID: "u", Store: store.As("n"), Log: log, Nodes: 3})
			if err != nil {
				t.Fatal(err)
			}
			both := []ipam.Owner{nobody("a"), nobody("b")}
			for _, o := range both {
				found := ipam.Holding{Owner: o, Grants: []ipam.Grant{{Address: netip.MustParsePrefix("10.1.2.1/24"), Pool: p.Name}}}
				if err := a.Adopt(found, []ipam.Pool{p}); err != nil {
					t.Fatal(err)
				}
			}
			m.boot() // from the log
			t.Cleanup(m.kill)
			m.free(both[first])
			for range 20 {
				if got := m.take(nobody("d"), anyOf(p)); got == "10.1.2.1/24" {
					t.Fatal("it is in use by the second")
				}
			}
			m.free(both[1-first])
			m.take(nobody("x"), static(p, "10.1.2.1"))
		})
	}
}

// An address that is freed while a started agent is still getting to know its blocks is not told as used for ever.
func TestFreedWhileBlocksAreLearnt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		o := nobody("one")
		m.take(o, anyOf(poolOf("10.1.2.0/24")))
		time.Sleep(10 * time.Second) // the block says so
		m.kill()
		m.wrap = func(s ipam.Store) ipam.Store { return slowRegions{s} }
		m.boot()
		time.Sleep(500 * time.Millisecond)
		if err := m.a.Free(context.Background(), o.Key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		_, blocks, _ := store.Objects()
		for _, b := range blocks {
			if b.UsedCount != 0 {
				t.Errorf("block %s says that %d addresses are used", b.Name, b.UsedCount)
			}
		}
	})
}

// slowRegions takes a second to list regions, which is the last thing that a started agent needs to know.
type slowRegions struct{ ipam.Store }

func (s slowRegions) ListRegions(ctx context.Context, domain string) ([]ipam.Region, error) {
	time.Sleep(time.Second)
	return s.Store.ListRegions(ctx, domain)
}
