package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	judge "github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// The properties of docs/properties.md that crashes and refusals break.

// fuse ends a process before or after its n-th step: a call to the API server
// or a write of the log.
type fuse struct {
	mu    sync.Mutex
	left  int
	after bool
	dead  bool
}

func (f *fuse) step(deed func() error) error {
	f.mu.Lock()
	f.left--
	blows := f.left == 0
	f.dead = f.dead || blows && !f.after
	dead := f.dead
	f.mu.Unlock()
	if dead {
		return iptest.ErrDead
	}
	err := deed()
	if blows {
		f.mu.Lock()
		f.dead = true
		f.mu.Unlock()
		return iptest.ErrDead
	}
	return err
}

type fused struct {
	ipam.Log
	f *fuse
}

func (l fused) Put(key string, value []byte) error {
	return l.f.step(func() error { return l.Log.Put(key, value) })
}

func (l fused) Delete(key string) error {
	return l.f.step(func() error { return l.Log.Delete(key) })
}

// doomed runs an agent on a fuse and lets it take, then lets it come back.
func doomed(t *testing.T, store *iptest.Store, disk *iptest.Disk, f *fuse, o ipam.Owner, wants []ipam.Want) {
	store.Through(func(_ context.Context, c iptest.Call, deed func() error) error {
		if c.Node == "doomed" {
			return f.step(deed)
		}
		return deed()
	})
	a, err := ipam.New(ipam.Options{Node: "node-1", NodeUID: "node-uid-1", Store: store.As("doomed"), Log: fused{disk.Boot(), f}, Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	_, _ = a.Take(ctx, o, wants)
	f.mu.Lock()
	f.dead = true // at the latest now
	f.mu.Unlock()
	disk.Kill()
	cancel()
	<-done
	time.Sleep(3 * time.Second) // what it had under way
}

// P2, P3: an agent that dies at any step of an ADD of a static and a dynamic
// address of two families leaves nothing that is given out twice, and nothing
// that stays, whether the same sandbox asks again or another.
func TestP02CrashAtEveryStepOfAnADD(t *testing.T) {
	v4, v6 := poolOf("10.1.2.0/24"), poolOf("fd00::/120")
	wants := append(static(v4, "10.1.2.77"), anyOf(v6)...)
	for step, blown := 1, true; blown; step++ {
		for _, after := range []bool{false, true} {
			for _, same := range []bool{true, false} {
				bubble(t, func(t *testing.T) {
					store := iptest.NewStore()
					var disk iptest.Disk
					f := &fuse{left: step, after: after}
					o := nobody("pod")
					doomed(t, store, &disk, f, o, wants)
					blown = f.left <= 0
					m := &machine{t: t, name: "node-1", uid: "node-uid-1", store: store, nodes: 3}
					m.disk.Take(&disk)
					m.boot()
					defer m.kill()
					other := newMachine(t, store, 2, 3)
					if !same { // the runtime gives the sandbox up
						m.free(o)
						o = nobody("pod")
					}
					time.Sleep(5 * time.Second)
					got := m.take(o, wants)
					if _, err := other.a.Take(context.Background(), nobody("x"), static(v4, "10.1.2.77")); ipam.ReasonOf(err) != ipam.Taken {
						t.Errorf("step %d, after %v: another node gets the address too: %v", step, after, err)
					}
					for range 20 {
						if x := other.take(nobody("x"), anyOf(v6)); x == got[len("10.1.2.77/24 "):] {
							t.Errorf("step %d, after %v: %s is given twice", step, after, x)
						}
					}
					m.free(o)
					time.Sleep(5 * time.Second)
					orphans, err := m.a.Orphans(context.Background())
					_, _, bound := store.Objects()
					if err != nil || len(bound) > len(orphans) || len(m.a.Held()) > 0 {
						t.Errorf("step %d, after %v, same %v: left: bound %v, orphans %v, held %v", step, after, same, bound, orphans, m.a.Held())
					}
				})
			}
		}
		if step > 60 {
			t.Fatal("an ADD has no end")
		}
	}
}

// P3 (H5, H7): when the second family has nothing left, the first is not kept;
// both families are protected.
func TestP03AllOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		v4, v6 := poolOf("10.1.2.0/28"), poolOf("fd00::8/127")
		var h judge.History
		for range 2 {
			o := nobody("a")
			grants, err := one.a.Take(context.Background(), o, anyOf(v4, v6))
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range grants {
				h.Begin("blue", g.Address.Addr(), judge.HolderOf("1", o))
			}
		}
		for range 20 {
			two.refused(nobody("b"), anyOf(v4, v6), ipam.PoolFull)
		}
		time.Sleep(5 * time.Second)
		for range 12 { // all the others of the first family are there
			o := nobody("c")
			grants, err := two.a.Take(context.Background(), o, anyOf(v4))
			if err != nil {
				t.Fatal(err)
			}
			h.Begin("blue", grants[0].Address.Addr(), judge.HolderOf("2", o))
		}
		for _, d := range h.Duplicates() {
			t.Error(d)
		}
	})
}

// P4 (H4): whatever the API server answers to one verb, an ADD that is answered
// is right, an ADD that is not is refused with a reason, and nothing stays.
func TestP04EveryRefusalOfEveryVerb(t *testing.T) {
	p := poolOf("10.1.2.0/28")
	answers := map[string]func(ctx context.Context, deed func() error) error{
		"403":        func(context.Context, func() error) error { return fmt.Errorf("%w: RBAC", ipam.ErrForbidden) },
		"429":        func(context.Context, func() error) error { return errors.New("too many requests") },
		"504 done":   func(_ context.Context, deed func() error) error { _ = deed(); return errors.New("gateway timeout") },
		"504 undone": func(context.Context, func() error) error { return errors.New("gateway timeout") },
		"hangs": func(ctx context.Context, _ func() error) error {
			<-ctx.Done()
			return ctx.Err()
		},
	}
	for name, answer := range answers {
		for _, verb := range []string{"get", "list", "create", "update", "delete"} {
			bubble(t, func(t *testing.T) {
				store := iptest.NewStore()
				one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
				<-one.a.Ready()
				one.take(nobody("before"), anyOf(p))
				store.Through(func(ctx context.Context, c iptest.Call, deed func() error) error {
					if c.Verb == verb && c.Node == two.name {
						return answer(ctx, deed)
					}
					return deed()
				})
				var h judge.History
				for i := range 6 {
					wants := anyOf(p)
					if i%2 == 1 {
						wants = static(p, fmt.Sprintf("10.1.2.%d", 4+i))
					}
					for node, m := range map[string]*machine{"1": one, "2": two} {
						o, begun := nobody("x"), time.Now()
						grants, err := m.a.Take(context.Background(), o, wants)
						if err == nil {
							h.Begin("blue", grants[0].Address.Addr(), judge.HolderOf(node, o))
						} else if ipam.ReasonOf(err) == "" {
							t.Errorf("%s on %s: refused without a reason: %v", name, verb, err)
						}
						if d := time.Since(begun); d > 2*time.Second {
							t.Errorf("%s on %s: answered after %v", name, verb, d)
						}
					}
				}
				for _, d := range h.Duplicates() {
					t.Errorf("%s on %s: %v", name, verb, d)
				}
				store.Through(nil)
				time.Sleep(time.Minute)
				var held []judge.Use
				for node, m := range map[string]*machine{"1": one, "2": two} {
					held = append(held, judge.Held(node, "blue", m.a.Held())...)
				}
				if len(held) != len(h.Live())+1 {
					t.Errorf("%s on %s: %d addresses are held, %d are used", name, verb, len(held), len(h.Live())+1)
				}
			})
		}
	}
}

// P5: with the API server down an ADD of a held address works, every other is
// refused within two seconds.
func TestP05WithoutTheAPIServer(t *testing.T) { TestTakeWithoutTheAPIServer(t) }

// P6: DEL may be said of anything at any time.
func TestP06DELIsIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		unknown, o, s := nobody("u"), nobody("o"), nobody("s")
		m.free(unknown)
		m.take(o, anyOf(p))
		m.take(s, static(p, "10.1.2.200"))
		store.Through(func(context.Context, iptest.Call, func() error) error { return errors.New("down") })
		for range 3 {
			m.free(o)
			m.free(s)
		}
		m.kill()
		m.boot()
		m.free(o)
		m.free(s)
		m.kill()
		m.disk.Lose() // rebooted
		store.Through(nil)
		m.boot()
		m.free(o)
		m.free(s)
		time.Sleep(time.Minute)
		if held := m.a.Held(); len(held) != 0 {
			t.Errorf("held: %v", held)
		}
		orphans, err := m.a.Orphans(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range orphans {
			if err := m.a.DeleteOrphan(context.Background(), x); err != nil {
				t.Error(err)
			}
		}
		m.take(nobody("n"), static(p, "10.1.2.200"))
	})
}

// P8: a node registered anew, rebooted, with its disk wiped: what its Pods use
// is nobody else's, and what they do not use comes back.
func TestP08NodeMadeAnewRebootedOrWiped(t *testing.T) {
	for _, how := range []string{"anew", "rebooted", "wiped"} {
		bubble(t, func(t *testing.T) {
			store := iptest.NewStore()
			m, other := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
			p := poolOf("10.1.2.0/28")
			var h judge.History
			use := func(m *machine, wants []ipam.Want) {
				o := nobody("x")
				if grants, err := m.a.Take(context.Background(), o, wants); err == nil {
					h.Begin("blue", grants[0].Address.Addr(), judge.HolderOf(m.name, o))
				}
			}
			use(m, anyOf(p))
			use(m, static(p, "10.1.2.9"))
			var pools []ipam.Pool
			held := m.a.Held()
			m.kill()
			switch how {
			case "anew": // the same log, another UID
				m.uid = "another"
			case "rebooted":
				m.disk.Lose()
				h.EndAll(func(judge.Use) bool { return true })
			case "wiped": // the log is lost, the Pods are not: they are found
				m.disk.Lose()
				a, err := ipam.New(ipam.Options{Node: m.name, NodeUID: m.uid, Store: store.As(m.name), Log: m.disk.Boot(), Nodes: 2})
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range held {
					if pools = []ipam.Pool{p}; a.Adopt(x, pools) != nil {
						t.Fatal("not adopted")
					}
				}
			}
			m.boot()
			time.Sleep(5 * time.Second)
			for range 20 {
				use(m, anyOf(p))
				use(other, anyOf(p))
			}
			for _, d := range h.Duplicates() {
				t.Errorf("%s: %v", how, d)
			}
		})
	}
}

// P10: the DEL of the Pod before, arriving late, frees nothing of the Pod of
// the same name.
func TestP10LateDELFreesNothingOfTheNextPod(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		for _, wants := range [][]ipam.Want{anyOf(p), static(p, "10.1.2.200")} {
			before, next := nobody("web-0"), nobody("web-0")
			m.take(before, wants)
			m.free(before)
			time.Sleep(time.Second)
			got := m.take(next, wants)
			m.free(before) // again, late
			time.Sleep(time.Second)
			if again := m.take(next, wants); again != got {
				t.Errorf("had %s, has %s", got, again)
			}
			m.refused(nobody("x"), static(p, netip.MustParsePrefix(got).Addr().String()), ipam.Taken)
		}
	})
}
