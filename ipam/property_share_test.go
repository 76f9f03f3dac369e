package ipam_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	judge "github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// The properties of docs/properties.md that many nodes at once break.

// jitter is a network with delays that a seed draws.
func jitter(seed uint64) iptest.Gate {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	return func(ctx context.Context, _ iptest.Call, deed func() error) error {
		mu.Lock()
		d := time.Duration(random.Int64N(int64(10 * time.Millisecond)))
		mu.Unlock()
		time.Sleep(d)
		return deed()
	}
}

// P1: fifty nodes take twenty addresses each, at once, of ranges that overlap,
// of one subnet in two domains, of two families.
func TestP01NoDuplicateUnderABurst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		store.Through(jitter(1))
		defer time.Sleep(5 * time.Second) // claims that outlive their takes end
		red := poolOf("10.1.0.0/22")
		red.Domain = "red"
		mixed := [][]ipam.Want{
			anyOf(poolOf("10.1.0.0/22")), anyOf(poolOf("10.1.1.0/24")), anyOf(poolOf("10.1.0.0/16")), anyOf(red),
			anyOf(poolOf("10.1.2.0/23"), poolOf("fd00::/64")),
		}
		var h judge.History
		var all sync.WaitGroup
		got := make(chan int, 1000)
		for i := range 50 {
			m := newMachine(t, store, i, 50)
			for k := range 20 {
				all.Go(func() {
					o, wants := nobody("x"), mixed[(i+k)%len(mixed)]
					for range 40 {
						grants, err := m.a.Take(context.Background(), o, wants)
						if err != nil {
							time.Sleep(100 * time.Millisecond)
							continue
						}
						for n, g := range grants {
							h.Begin(wants[n].Pool.Domain, g.Address.Addr(), judge.HolderOf(m.name, o))
						}
						got <- 1
						return
					}
				})
			}
		}
		all.Wait()
		for _, d := range h.Duplicates() {
			t.Error(d)
		}
		// How many of the last are reached depends on whose blocks are broken up.
		if len(got) < 800 {
			t.Errorf("only %d of 1000 got addresses, of 1022 and more", len(got))
		}
	})
}

// P7, P13: fifty nodes live off fourteen addresses. All of them are in use at
// times, no Pod waits long, and none waits much longer than the others.
func TestP07FairOnAHotPool(t *testing.T)               { shareFourteen(t) }
func TestP13FiftyNodesUseAllOfASmallPool(t *testing.T) { shareFourteen(t) }

func shareFourteen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		store.Through(jitter(2))
		defer time.Sleep(5 * time.Second) // claims that outlive their takes end
		p := poolOf("10.1.2.0/28")
		var h judge.History
		var mu sync.Mutex
		var sum, worst time.Duration
		most := 0
		var all sync.WaitGroup
		for i := range 50 {
			m := newMachine(t, store, i, 50)
			all.Go(func() {
				for range 4 {
					o := nobody(m.name)
					for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
						grants, err := m.a.Take(context.Background(), o, anyOf(p))
						if err != nil {
							continue
						}
						x := grants[0].Address.Addr()
						h.Begin("blue", x, judge.HolderOf(m.name, o))
						mu.Lock()
						waited := time.Since(begun)
						sum, worst, most = sum+waited, max(worst, waited), max(most, len(h.Live()))
						mu.Unlock()
						time.Sleep(500 * time.Millisecond)
						h.End("blue", x, judge.HolderOf(m.name, o))
						m.free(o)
						break
					}
				}
			})
		}
		all.Wait()
		for _, d := range h.Duplicates() {
			t.Error(d)
		}
		// 200 lives of half a second on 14 addresses are 7 s at the least.
		t.Logf("at most %d in use, mean wait %v, longest %v", most, sum/200, worst)
		if most != 14 {
			t.Errorf("at most %d of 14 addresses were in use at once", most)
		}
		if worst > 3*sum/200 {
			t.Errorf("mean wait %v, longest %v: more than three times as long", sum/200, worst)
		}
	})
}

// P12: who finds the pool full is told so, and by whom it is used; two seconds
// after a free somewhere else there is an address.
func TestP12FullPoolSaysSoAndRecovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		store.Through(jitter(3))
		defer time.Sleep(5 * time.Second) // claims that outlive their takes end
		p := poolOf("10.1.2.0/28")
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		var owners []ipam.Owner
		for range 14 {
			o := nobody("top")
			one.take(o, anyOf(p))
			owners = append(owners, o)
		}
		err := two.refused(nobody("x"), anyOf(p), ipam.PoolFull)
		for _, word := range []string{p.Name, "14 of 14", "node-1"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
		one.free(owners[5])
		begun := time.Now()
		for ; ; time.Sleep(50 * time.Millisecond) {
			_, err := two.a.Take(context.Background(), nobody("x"), anyOf(p))
			if err == nil {
				break
			}
			if time.Since(begun) > 2*time.Second {
				t.Fatalf("no address %v after a free: %v", time.Since(begun), err)
			}
		}
	})
}

// P15: a static address, in every place it may lie.
func TestP15StaticAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3)
		p := poolOf("10.1.2.0/24")
		p.Gateway = netip.MustParseAddr("10.1.2.1")
		p.Exclude = []ipam.Range{{First: netip.MustParseAddr("10.1.2.40"), Last: netip.MustParseAddr("10.1.2.42")}}
		for ip, reason := range map[string]string{
			"10.1.3.1": ipam.OutOfRange, "10.1.2.41": ipam.Excluded, "10.1.2.1": ipam.Excluded, "10.1.2.0": ipam.Excluded, "10.1.2.255": ipam.Excluded,
		} {
			begun := time.Now()
			one.refused(nobody("s"), static(p, ip), reason)
			if d := time.Since(begun); d > time.Second {
				t.Errorf("%s: refused after %v", ip, d)
			}
		}
		held := nobody("s")
		got := one.take(held, static(p, "10.1.2.100")) // free
		if again := one.take(held, static(p, "10.1.2.100")); again != got {
			t.Errorf("the same Pod got %s, then %s", got, again)
		}
		d := nobody("d")
		used := one.take(d, anyOf(p))
		two.take(nobody("s"), static(p, "10.1.2.9"))                                     // in a block of the other's, not in use
		two.refused(nobody("s"), static(p, strings.TrimSuffix(used, "/24")), ipam.Taken) // in use
		two.refused(nobody("s"), static(p, "10.1.2.100"), ipam.Taken)                    // bound
		one.kill()                                                                       // its owner is down
		err := two.refused(nobody("s"), static(p, "10.1.2.10"), ipam.Taken)
		if !strings.Contains(err.Error(), "node-1") {
			t.Errorf("the refusal does not name the node: %v", err)
		}
	})
	t.Run("twenty at once", TestStaticRace)
}

// P16: no decision of the allocator rests on a clock that may jump: it compares
// moments of its own process, which Go does by the monotonic clock. What takes
// a moment out of the process or into it is listed here, with what for.
func TestP16NoDecisionByTheWallClock(t *testing.T) {
	allowed := map[string]string{
		"object.go":     "when a stranger was seen, for people",
		"quarantine.go": "a quarantine and a rest outlive a process; too short or too long, they endanger no proof",
		"rest.go":       "the same",
		"cooldown.go":   "the same",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || allowed[name] != "" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch s.Sel.Name {
			case "Unix", "UnixNano", "UnixMilli", "Round", "Date", "UTC", "Local", "In":
				if x, isIdent := s.X.(*ast.Ident); s.Sel.Name == "Local" || s.Sel.Name == "Round" && isIdent && x.Name != "now" {
					return true // Pool.Local, a duration
				}
				t.Errorf("%s: uses %s: a moment without its monotonic reading", name, s.Sel.Name)
			}
			return true
		})
	}
}

// P23: a write of a block is told to one node, however many there are.
func TestP23AWriteIsToldToOneNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := poolOf("10.1.0.0/16")
		var nodes []*machine
		for i := range 50 {
			nodes = append(nodes, newMachine(t, store, i, 50))
		}
		time.Sleep(time.Second)
		var owners []ipam.Owner
		for range 100 {
			o := nobody("x")
			owners = append(owners, o)
			nodes[7].take(o, anyOf(p))
		}
		for _, o := range owners {
			nodes[7].free(o)
		}
		time.Sleep(20 * time.Minute)
		writes := store.Count("create", "block") + store.Count("update", "block") + store.Count("delete", "block")
		if told := store.Events(); writes == 0 || told > writes {
			t.Errorf("%d writes of blocks were told %d times to 50 nodes", writes, told)
		}
	})
}
