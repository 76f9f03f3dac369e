package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// machine is a node of a test: an allocator, what survives it, and the way to
// kill it.
type machine struct {
	t     *testing.T
	name  string
	uid   string
	store *iptest.Store
	disk  iptest.Disk
	nodes int
	pool  func(string) (ipam.Pool, bool)

	a    *ipam.Allocator
	stop func()
	// wrap, if set, stands between the allocator and its store.
	wrap func(ipam.Store) ipam.Store
}

func newMachine(t *testing.T, store *iptest.Store, i, nodes int) *machine {
	m := &machine{t: t, name: fmt.Sprintf("node-%d", i), uid: fmt.Sprintf("node-uid-%d", i), store: store, nodes: nodes}
	m.boot()
	t.Cleanup(func() { m.kill() })
	return m
}

func (m *machine) boot() {
	m.t.Helper()
	var err error
	var store ipam.Store = m.store.As(m.name)
	if m.wrap != nil {
		store = m.wrap(store)
	}
	m.a, err = ipam.New(ipam.Options{Node: m.name, NodeUID: m.uid, Store: store, Log: m.disk.Boot(), Nodes: m.nodes, Pool: m.pool})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.a.Run(ctx); err != nil {
			m.t.Error(err)
		}
	}()
	m.stop = func() { cancel(); <-done }
}

func (m *machine) kill() {
	if m.stop != nil {
		m.disk.Kill()
		m.stop()
		m.stop = nil
	}
}

var serial struct {
	sync.Mutex
	n int
}

func nobody(pod string) ipam.Owner {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprintf("%s-%d", pod, serial.n), IfName: "net1"}, Namespace: "test", Pod: pod, UID: pod + "-uid"}
}

func poolOf(cidr string) ipam.Pool {
	return ipam.Pool{Name: "pool-" + cidr, Domain: "blue", Prefix: netip.MustParsePrefix(cidr)}
}

func anyOf(pools ...ipam.Pool) (wants []ipam.Want) {
	for _, p := range pools {
		wants = append(wants, ipam.Want{Pool: p})
	}
	return wants
}

func static(p ipam.Pool, ip string) []ipam.Want {
	return []ipam.Want{{Pool: p, Static: netip.MustParseAddr(ip)}}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func (m *machine) take(o ipam.Owner, wants []ipam.Want) string {
	m.t.Helper()
	grants, err := m.a.Take(context.Background(), o, wants)
	if err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
	var words []string
	for _, g := range grants {
		words = append(words, g.Address.String())
	}
	return strings.Join(words, " ")
}

func (m *machine) refused(o ipam.Owner, wants []ipam.Want, reason string) error {
	m.t.Helper()
	_, err := m.a.Take(context.Background(), o, wants)
	if ipam.ReasonOf(err) != reason {
		m.t.Fatalf("%s: got %v, want a refusal with reason %s", m.name, err, reason)
	}
	return err
}

func (m *machine) free(o ipam.Owner) {
	m.t.Helper()
	if err := m.a.Free(context.Background(), o.Key); err != nil {
		m.t.Fatal(err)
	}
}

func TestTakeLowestFirstAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 3)
		p := poolOf("10.1.2.0/24")
		p.Gateway = netip.MustParseAddr("10.1.2.1")
		p.Routes = []ipam.Route{{Dst: netip.MustParsePrefix("10.9.0.0/16")}}
		one, two := nobody("one"), nobody("two")
		if got := m.take(one, anyOf(p)); got != "10.1.2.2/24" {
			t.Errorf("first address is %s: the gateway and the network address are not for Pods", got)
		}
		if got := m.take(two, anyOf(p)); got != "10.1.2.3/24" {
			t.Errorf("second address is %s", got)
		}
		if got := m.take(one, anyOf(p)); got != "10.1.2.2/24" {
			t.Errorf("the same key got %s", got)
		}
		grants, _ := m.a.Take(context.Background(), one, anyOf(p))
		if r := grants[0].Routes; len(r) != 1 || r[0].Gateway != p.Gateway || grants[0].Gateway != p.Gateway {
			t.Errorf("routes %v, gateway %v: a route without a next hop gets the gateway", r, grants[0].Gateway)
		}
		m.free(one)
		m.free(one)
		if got := m.take(nobody("three"), anyOf(p)); got != "10.1.2.2/24" {
			t.Errorf("after a free the lowest is %s", got)
		}
		if held := m.a.Held(); len(held) != 2 {
			t.Errorf("held: %v", held)
		}
		m.refused(two, anyOf(poolOf("10.3.0.0/24")), ipam.HoldsOther)
	})
}

// A node that holds a free address asks nobody.
func TestTakeWithoutTheAPIServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		m.take(nobody("first"), anyOf(p))
		time.Sleep(time.Minute)
		down := errors.New("connection refused")
		calls := 0
		store.Through(func(context.Context, iptest.Call, func() error) error { calls++; return down })
		for range 20 {
			o := nobody("more")
			m.take(o, anyOf(p))
			m.free(o)
		}
		if calls != 0 {
			t.Errorf("%d calls for addresses that are held", calls)
		}
		begun := time.Now()
		m.refused(nobody("other"), anyOf(poolOf("10.7.0.0/24")), ipam.Unavailable)
		if d := time.Since(begun); d > 2*time.Second {
			t.Errorf("refused after %v", d)
		}
		store.Through(func(ctx context.Context, _ iptest.Call, _ func() error) error { <-ctx.Done(); return ctx.Err() })
		begun = time.Now()
		m.refused(nobody("hung"), anyOf(poolOf("10.8.0.0/24")), ipam.Unavailable)
		if d := time.Since(begun); d > 2*time.Second {
			t.Errorf("with a server that hangs, refused after %v", d)
		}
		store.Through(nil)
	})
}

func TestAllOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 1)
		wide, tiny := poolOf("10.1.2.0/24"), poolOf("fd00::8/127")
		m.take(nobody("one"), anyOf(wide, tiny))
		m.take(nobody("two"), anyOf(wide, tiny))
		err := m.refused(nobody("three"), anyOf(wide, tiny), ipam.PoolFull)
		if !strings.Contains(err.Error(), "2 of 2") || !strings.Contains(err.Error(), "node-1") {
			t.Errorf("the refusal does not say how full the pool is and who has it: %v", err)
		}
		if got := m.take(nobody("four"), anyOf(wide)); got != "10.1.2.3/24" {
			t.Errorf("the refused take kept an address: next is %s", got)
		}
	})
}

func TestStaticInOwnBlockCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		m.take(nobody("one"), anyOf(p))
		if got := m.take(nobody("s"), static(p, "10.1.2.7")); got != "10.1.2.7/24" {
			t.Error(got)
		}
		if n := store.Count("create", "address"); n != 0 {
			t.Errorf("%d Address objects for an address in a block of ours", n)
		}
		err := m.refused(nobody("t"), static(p, "10.1.2.7"), ipam.Taken)
		if !strings.Contains(err.Error(), "test/s") {
			t.Errorf("the refusal does not say who has it: %v", err)
		}
	})
}

func TestStaticThatNoBlockCovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3)
		p := poolOf("10.1.2.0/24")
		o := nobody("s")
		if got := one.take(o, static(p, "10.1.2.9")); got != "10.1.2.9/24" {
			t.Fatal(got)
		}
		err := two.refused(nobody("t"), static(p, "10.1.2.9"), ipam.Taken)
		if !strings.Contains(err.Error(), "node-1") || !strings.Contains(err.Error(), "test/s") {
			t.Errorf("the refusal does not say who has it and where: %v", err)
		}
		// Blocks that are claimed later leave it out.
		seen := map[string]bool{}
		for range 60 {
			a := two.take(nobody("d"), anyOf(p))
			if a == "10.1.2.9/24" || seen[a] {
				t.Fatalf("%s was given twice", a)
			}
			seen[a] = true
		}
		one.free(o)
		time.Sleep(time.Second)
		if _, _, bound := store.Objects(); len(bound) != 0 {
			t.Errorf("Address objects are left: %v", bound)
		}
		// The owner of the block around it gives it out again.
		time.Sleep(10 * time.Second)
		two.take(nobody("again"), static(p, "10.1.2.9"))
	})
}

func TestStaticInAnotherNodesBlock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3)
		p := poolOf("10.1.2.0/24")
		if got := one.take(nobody("d"), anyOf(p)); got != "10.1.2.1/24" {
			t.Fatal(got)
		}
		begun := time.Now()
		if got := two.take(nobody("s"), static(p, "10.1.2.5")); got != "10.1.2.5/24" {
			t.Fatal(got)
		}
		if d := time.Since(begun); d > 200*time.Millisecond {
			t.Errorf("took %v", d)
		}
		err := two.refused(nobody("t"), static(p, "10.1.2.1"), ipam.Taken)
		if !strings.Contains(err.Error(), "test/d") {
			t.Errorf("the refusal does not say who has it: %v", err)
		}
		for range 28 {
			if got := one.take(nobody("d"), anyOf(p)); got == "10.1.2.5/24" {
				t.Fatal("given twice")
			}
		}
		// An owner that does not answer.
		one.kill()
		begun = time.Now()
		err = two.refused(nobody("u"), static(p, "10.1.2.30"), ipam.Taken)
		if d := time.Since(begun); d > 2*time.Second || !strings.Contains(err.Error(), "node-1") {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// One static address is asked for on twenty nodes at once: one gets it.
func TestStaticRace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := poolOf("10.1.2.0/24")
		var got sync.WaitGroup
		won := make(chan string, 20)
		for i := range 20 {
			m := newMachine(t, store, i, 20)
			got.Go(func() {
				if _, err := m.a.Take(context.Background(), nobody("s"), static(p, "10.1.2.9")); err == nil {
					won <- m.name
				} else if ipam.ReasonOf(err) != ipam.Taken {
					t.Error(err)
				}
			})
		}
		got.Wait()
		if len(won) != 1 {
			t.Errorf("%d nodes got one address", len(won))
		}
	})
}

// Scaling 30→0→30 on a /26 over three nodes, ten times, with the Pods placed
// differently each time.
func TestScaleDownAndUpOnASmallPool(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		var nodes []*machine
		for i := range 3 {
			nodes = append(nodes, newMachine(t, store, i, 3))
		}
		p := poolOf("192.168.10.0/26")
		p.Gateway = netip.MustParseAddr("192.168.10.1")
		for round := range 10 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			seen := map[string]string{}
			owners := map[*machine][]ipam.Owner{}
			for i := range 61 { // all of it
				m := nodes[(i*(round+1)/7+i%(round%3+1))%3]
				o := nobody(fmt.Sprintf("pod-%d", i))
				owners[m] = append(owners[m], o)
				wg.Go(func() {
					for try := range 20 {
						grants, err := m.a.Take(context.Background(), o, anyOf(p))
						if err != nil {
							if try > 15 {
								t.Errorf("round %d: %v", round, err)
							}
							time.Sleep(200 * time.Millisecond)
							continue
						}
						mu.Lock()
						defer mu.Unlock()
						a := grants[0].Address.String()
						if other, twice := seen[a]; twice {
							t.Errorf("%s given to %s and %s", a, other, o.Pod)
						}
						seen[a] = o.Pod
						return
					}
				})
			}
			wg.Wait()
			if len(seen) != 61 {
				t.Errorf("round %d: %d of 61 addresses given", round, len(seen))
			}
			for m, list := range owners {
				for _, o := range list {
					m.free(o)
				}
			}
			time.Sleep(time.Second)
		}
	})
}

func TestFreeCallsOffATakeUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		<-m.a.Ready()
		store.Through(func(ctx context.Context, c iptest.Call, deed func() error) error {
			time.Sleep(100 * time.Millisecond)
			return deed()
		})
		o := nobody("gone")
		answer := make(chan error, 1)
		go func() {
			_, err := m.a.Take(context.Background(), o, anyOf(poolOf("10.1.2.0/24")))
			answer <- err
		}()
		time.Sleep(150 * time.Millisecond)
		m.free(o)
		if err := <-answer; ipam.ReasonOf(err) != ipam.Deleted {
			t.Errorf("got %v", err)
		}
		if held := m.a.Held(); len(held) != 0 {
			t.Errorf("held: %v", held)
		}
		// The key may be used again.
		m.take(o, anyOf(poolOf("10.1.2.0/24")))
	})
}

func TestLocalPool(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		store.Through(func(context.Context, iptest.Call, func() error) error { return errors.New("down") })
		m := newMachine(t, store, 1, 3)
		four, six := ipam.LocalPool("pods-v4", netip.MustParsePrefix("10.244.1.0/24")), ipam.LocalPool("pods-v6", netip.MustParsePrefix("fd00:244:0:1::/64"))
		o := nobody("a")
		if got := m.take(o, anyOf(four, six)); got != "10.244.1.2/24 fd00:244:0:1::2/64" {
			t.Errorf("got %s: the first usable address is the node's own", got)
		}
		for i := range 252 {
			m.take(nobody(fmt.Sprint(i)), anyOf(four, six))
		}
		m.refused(nobody("x"), anyOf(four, six), ipam.PoolFull)
		m.free(o)
		m.take(nobody("y"), anyOf(four, six))
		m.kill()
		m.boot()
		m.refused(nobody("z"), anyOf(four, six), ipam.PoolFull)
		store.Through(nil)
	})
}

func TestWidePools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 50), newMachine(t, store, 2, 50)
		p := poolOf("fd00:1::/64")
		seen := map[string]bool{}
		for range 300 {
			for _, m := range []*machine{one, two} {
				a := m.take(nobody("v6"), anyOf(p))
				if seen[a] {
					t.Fatalf("%s given twice", a)
				}
				seen[a] = true
			}
		}
		if seen["fd00:1::/64"] {
			t.Error("the subnet-router anycast address was given out")
		}
	})
}
