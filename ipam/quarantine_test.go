package ipam_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

func strangerAt(p ipam.Pool, x netip.Addr) ipam.Stranger {
	return ipam.Stranger{Address: x, Domain: p.Domain, Pool: p.Name, MAC: "0a:00:00:00:00:09", Local: p.Local, Seen: time.Now(), Lasts: 10 * time.Minute}
}

// meet is what an ADD does about a stranger: the address is shut away first
// and freed then.
func (m *machine) meet(p ipam.Pool, o ipam.Owner, x netip.Addr) {
	m.t.Helper()
	if err := m.a.Quarantine(strangerAt(p, x)); err != nil {
		m.t.Fatal(err)
	}
	m.free(o)
}

// quarantines are the objects of addresses in quarantine.
func quarantines(store *iptest.Store) (found []ipam.Address) {
	_, _, bound := store.Objects()
	for _, x := range bound {
		if x.Quarantine != nil {
			found = append(found, x)
		}
	}
	return found
}

// release does what the controller does.
func release(t *testing.T, store *iptest.Store) {
	t.Helper()
	for _, x := range quarantines(store) {
		if err := store.As("controller").DeleteAddress(context.Background(), x.Name, x.UID); err != nil {
			t.Fatal(err)
		}
	}
}

// An address in quarantine is given to nobody but who asks for it: by any node, over a restart, and until the quarantine is over.
func TestQuarantinedAddressIsNotGivenOut(t *testing.T) {
	for _, c := range []struct {
		what  string
		pool  ipam.Pool
		nodes int
	}{
		{"blocks", poolOf("10.1.4.0/24"), 1},
		{"one by one", poolOf("10.1.2.0/28"), 50},
		{"IPv6", poolOf("fd00::/120"), 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := iptest.NewStore()
				m, other := newMachine(t, store, 0, c.nodes), newMachine(t, store, 1, c.nodes)
				first := nobody("first")
				x := m.one(first, anyOf(c.pool))
				m.meet(c.pool, first, x)
				if again := m.one(nobody("again"), anyOf(c.pool)); again == x {
					t.Errorf("%s is given out again", x)
				}
				synctest.Wait()
				time.Sleep(2 * time.Second)
				found := quarantines(store)
				if len(found) != 1 || found[0].Address != x || found[0].Quarantine.MAC != "0a:00:00:00:00:09" ||
					found[0].Quarantine.Node != m.name || found[0].Quarantine.Lasts != 10*time.Minute || found[0].Pool != c.pool.Name || found[0].NodeUID != "" {
					t.Errorf("objects are %+v", found)
				}
				for _, node := range []*machine{m, other} {
					asks := nobody("asks")
					if got := node.one(asks, static(c.pool, x.String())); got != x {
						t.Errorf("%s: who asks for %s gets %s", node.name, x, got)
					}
					if left := quarantines(store); len(left) > 0 {
						t.Errorf("%s: in quarantine and in use: %v", node.name, left)
					}
					node.meet(c.pool, asks, x)
					time.Sleep(2 * time.Second)
					if found := quarantines(store); len(found) != 1 || found[0].Address != x || found[0].Quarantine.Node != node.name {
						t.Errorf("%s: the stranger was met again, objects are %+v", node.name, found)
					}
				}
				if got := other.one(nobody("elsewhere"), anyOf(c.pool)); got == x {
					t.Errorf("%s is given out by the other node", x)
				}
				m.kill()
				m.boot()
				time.Sleep(time.Minute)
				if again := m.one(nobody("after"), anyOf(c.pool)); again == x {
					t.Errorf("%s is given out after a restart", x)
				}
				release(t, store)
				time.Sleep(30 * time.Second)
				if got := m.one(nobody("late"), static(c.pool, x.String())); got != x {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

// While the API server is away the address is kept here, over a restart too,
// and the block it lies in is not given back; the object follows.
func TestQuarantineWithoutAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := poolOf("10.1.2.0/28")
		m := newMachine(t, store, 0, 50)
		first := nobody("first")
		x := m.one(first, anyOf(p))
		away := true
		store.Through(func(_ context.Context, _ iptest.Call, deed func() error) error {
			if away {
				return errors.New("connection refused")
			}
			return deed()
		})
		m.meet(p, first, x)
		m.kill()
		m.boot()
		time.Sleep(time.Minute)
		if found := quarantines(store); len(found) > 0 {
			t.Fatalf("objects are %+v", found)
		}
		away = false
		time.Sleep(10 * time.Second)
		if found := quarantines(store); len(found) != 1 || found[0].Address != x {
			t.Errorf("objects are %+v", found)
		}
		if got := m.one(nobody("second"), anyOf(p)); got == x {
			t.Errorf("%s is given out", x)
		}
	})
}

// An address that another node gave up rests on an object of its own: that one
// becomes the quarantine, without a moment in which there is none.
func TestQuarantineOfAddressOfAnotherNodesBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := poolOf("10.1.2.0/28")
		p.BlockSize = 16
		owner, m := newMachine(t, store, 0, 1), newMachine(t, store, 1, 1)
		owner.take(nobody("owner"), anyOf(p))
		o := nobody("guest")
		x := m.one(o, anyOf(p))
		deletes := store.Count("delete", "address")
		m.meet(p, o, x)
		time.Sleep(5 * time.Second)
		if found := quarantines(store); len(found) != 1 || found[0].Address != x || store.Count("delete", "address") != deletes {
			t.Errorf("objects are %+v after %d deletions", found, store.Count("delete", "address")-deletes)
		}
		for range 12 {
			if got := m.one(nobody("next"), anyOf(p)); got == x {
				t.Errorf("%s is given out", x)
			}
		}
		_, err := m.a.Take(context.Background(), nobody("one too many"), anyOf(p))
		if ipam.ReasonOf(err) != ipam.PoolFull || !strings.Contains(err.Error(), "1 address in quarantine because strangers were seen") {
			t.Errorf("%v", err)
		}
	})
}

// In a pool that is this node's alone no other node needs to know.
func TestQuarantineOfLocalPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 0, 1)
		p := ipam.LocalPool("pods", netip.MustParsePrefix("10.244.0.0/29"))
		first := nobody("first")
		x := m.one(first, anyOf(p))
		m.meet(p, first, x)
		m.kill()
		m.boot()
		for range 4 {
			if got := m.one(nobody("next"), anyOf(p)); got == x {
				t.Errorf("%s is given out", x)
			}
		}
		if _, err := m.a.Take(context.Background(), nobody("one too many"), anyOf(p)); ipam.ReasonOf(err) != ipam.PoolFull {
			t.Errorf("%v", err)
		}
		time.Sleep(11 * time.Minute)
		if got := m.one(nobody("late"), anyOf(p)); got != x {
			t.Errorf("got %v, want %s", got, x)
		}
		if found := quarantines(store); len(found) > 0 {
			t.Errorf("objects are %+v", found)
		}
	})
}

// Next guesses what takes give then.
func TestNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 0, 1)
		p := poolOf("10.1.4.0/24")
		if next := m.a.Next(p, 3); len(next) > 0 {
			t.Errorf("next is %v before a block is held", next)
		}
		m.take(nobody("first"), anyOf(p))
		next := m.a.Next(p, 3)
		for _, want := range next {
			if got := m.one(nobody("next"), anyOf(p)); got != want {
				t.Errorf("got %s, next was %v", got, next)
			}
		}
		if len(next) != 3 {
			t.Errorf("next was %v", next)
		}
	})
}

// one takes one address.
func (m *machine) one(o ipam.Owner, wants []ipam.Want) netip.Addr {
	m.t.Helper()
	grants, err := m.a.Take(context.Background(), o, wants)
	if err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
	return grants[0].Address.Addr()
}
