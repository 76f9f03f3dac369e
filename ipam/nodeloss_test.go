package ipam_test

import (
	"context"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// quarantine does what the controller does to the blocks of a node that it
// thinks is lost.
func quarantine(t *testing.T, store *iptest.Store) {
	t.Helper()
	_, blocks, _ := store.Objects()
	for _, b := range blocks {
		b.State = v1alpha1.BlockQuarantined
		if _, err := store.As("controller").UpdateBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// A node that is thought to be lost and runs takes the mark off its blocks, at
// once or when its agent is back, and gives back those that nothing uses.
func TestARunningNodeObjectsToQuarantine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		o := nobody("a")
		m.take(o, anyOf(p))
		time.Sleep(5 * time.Second)
		quarantine(t, store)
		time.Sleep(2 * time.Second)
		states := func() (owned int) {
			_, blocks, _ := store.Objects()
			for _, b := range blocks {
				if b.State != v1alpha1.BlockOwned {
					t.Errorf("block %s is %s", b.Name, b.State)
				}
				owned++
			}
			return owned
		}
		if n := states(); n != 1 {
			t.Errorf("%d blocks, one is used", n)
		}
		m.kill()
		quarantine(t, store)
		m.boot()
		time.Sleep(2 * time.Second)
		states()
		m.free(o)
		quarantine(t, store)
		time.Sleep(2 * time.Second)
		if n := states(); n != 0 {
			t.Errorf("%d blocks are kept, none is used", n)
		}
	})
}

// The agent of a node that was taken for lost, and was only cut off, notices
// when it is back: it gives out nothing of what others have now, and keeps for
// its Pods only what nobody else was given.
func TestANodeThatWasTakenForLostComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one := newMachine(t, store, 1, 2)
		p := poolOf("10.1.2.0/28")
		p.BlockSize = 4
		a, b := nobody("a"), nobody("b")
		first := one.take(a, anyOf(p))
		second := one.take(b, anyOf(p))
		// Its blocks are released and another node gets the same addresses.
		one.kill()
		_, blocks, _ := store.Objects()
		for _, x := range blocks {
			if err := store.As("controller").DeleteBlock(context.Background(), x.Name, x.UID); err != nil {
				t.Fatal(err)
			}
		}
		two := newMachine(t, store, 2, 2)
		c := nobody("c")
		if got := two.take(c, anyOf(p)); got != first {
			t.Fatalf("the other node got %s, the test needs %s", got, first)
		}
		one.boot()
		time.Sleep(10 * time.Second)
		seen := map[string]bool{first: true, second: true}
		for range 12 {
			for _, m := range []*machine{one, two} {
				grants, err := m.a.Take(context.Background(), nobody("new"), anyOf(p))
				if ipam.ReasonOf(err) == ipam.PoolFull {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := grants[0].Address.String(); seen[got] {
					t.Fatalf("%s is given out although somebody has it", got)
				} else {
					seen[got] = true
				}
			}
		}
	})
}
