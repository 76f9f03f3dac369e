package ipam_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// A hole is about to be healed, by a list that is under way, and its address
// is bound here meanwhile: it stays a hole.
func TestHealLeavesAHoleThatIsBoundMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3)
		p := poolOf("10.1.2.0/24")
		one.take(nobody("d"), anyOf(p))
		o := nobody("s")
		two.take(o, static(p, "10.1.2.5"))
		var healing, listed atomic.Bool
		store.Through(func(_ context.Context, c iptest.Call, deed func() error) error {
			err := deed()
			if c.Node == one.name && c.Verb == "update" && c.Kind == "block" {
				healing.Store(true)
			}
			if c.Node == one.name && c.Verb == "list" && c.Kind == "address" && healing.Load() && listed.CompareAndSwap(false, true) {
				time.Sleep(time.Second) // the answer is under way
			}
			return err
		})
		two.free(o)
		for !listed.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		one.take(nobody("x"), static(p, "10.1.2.5"))
		time.Sleep(2 * time.Second)
		for range 28 {
			if got := one.take(nobody("d"), anyOf(p)); got == "10.1.2.5/24" {
				t.Fatal("an address that is bound was given out with its block")
			}
		}
		store.Through(nil)
	})
}

// stuck is a log in which a kind of record cannot be deleted.
type stuck struct {
	ipam.Log
	kind string
	on   *atomic.Bool
}

func (s stuck) Delete(key string) error {
	if s.on.Load() && strings.HasPrefix(key, s.kind) {
		return errors.New("no space left on device")
	}
	return s.Log.Delete(key)
}

// A Free that fails has freed nothing.
func TestFreeThatFailsKeepsTheObject(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		var disk iptest.Disk
		on := new(atomic.Bool)
		a, err := ipam.New(ipam.Options{Node: "n", NodeUID: "u", Store: store.As("n"), Log: stuck{disk.Boot(), "h/", on}, Nodes: 3})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = a.Run(ctx) }()
		defer func() { cancel(); <-done }()
		o, wants := nobody("s"), static(poolOf("10.1.2.0/24"), "10.1.2.9")
		if _, err := a.Take(ctx, o, wants); err != nil {
			t.Fatal(err)
		}
		on.Store(true)
		if err := a.Free(ctx, o.Key); err == nil {
			t.Fatal("freed on a full disk")
		}
		time.Sleep(10 * time.Second)
		if _, _, bound := store.Objects(); len(a.Held()) != 1 || len(bound) != 1 {
			t.Errorf("held %v, bound %v", a.Held(), bound)
		}
		on.Store(false)
		if err := a.Free(ctx, o.Key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if _, _, bound := store.Objects(); len(a.Held()) != 0 || len(bound) != 0 {
			t.Errorf("held %v, bound %v", a.Held(), bound)
		}
	})
}

// A create of a block that nobody waits for any more arrives while the same
// block, claimed a second time, is given back.
func TestLateCreateWhileTheBlockLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 50)
		p := poolOf("10.1.2.0/28") // leased one by one
		o := nobody("a")
		m.take(o, anyOf(p))
		late := true
		store.Through(func(_ context.Context, c iptest.Call, deed func() error) error {
			if c.Verb != "delete" || c.Kind != "block" || !late {
				return deed()
			}
			late = false
			_, blocks, _ := store.Objects()
			err := deed()
			b := blocks[0]
			b.Meta = ipam.Meta{Name: b.Name}
			if _, err := store.As("late").CreateBlock(context.Background(), b); err != nil {
				t.Error(err)
			}
			time.Sleep(500 * time.Millisecond) // the watch tells of it
			if err == nil {
				err = errors.New("connection reset by peer")
			}
			return err
		})
		m.free(o)
		time.Sleep(20 * time.Minute)
		if _, blocks, _ := store.Objects(); len(blocks) != 0 {
			t.Errorf("nobody knows of %v", blocks)
		}
		store.Through(nil)
	})
}

func TestStaticAskedForTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 3)
		p := poolOf("10.1.2.0/24")
		m.refused(nobody("s"), append(static(p, "10.1.2.9"), static(p, "10.1.2.9")...), ipam.BadConfig)
		if held := m.a.Held(); len(held) != 0 {
			t.Errorf("held: %v", held)
		}
	})
}
