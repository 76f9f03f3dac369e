package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// sts is the claim of an interface of a Pod of a StatefulSet.
func sts(pod, uid string) *ipam.Claiming {
	c := ipam.Claim{Meta: ipam.Meta{Name: pod + "-net1"}, Namespace: "test", Network: "test/blue", Interface: "net1", Pod: pod, Made: true,
		Holder: ipam.Holder{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: uid}}
	return &ipam.Claiming{Namespace: c.Namespace, Name: c.Name, Make: &c}
}

func member(pod string) ipam.Owner {
	o := nobody(pod)
	o.Network = "test/blue"
	return o
}

func claiming(c *ipam.Claiming, wants []ipam.Want) []ipam.Want {
	for i := range wants {
		wants[i].Claim = c
	}
	return wants
}

func (m *machine) refuses(o ipam.Owner, wants []ipam.Want, reason string, says ...string) {
	m.t.Helper()
	grants, err := m.a.Take(context.Background(), o, wants)
	if ipam.ReasonOf(err) != reason {
		m.t.Fatalf("got %v, %v, want the reason %s", grants, err, reason)
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			m.t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestClaimKeepsItsAddressesFromNodeToNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		wants := claiming(sts("web-0", "u1"), anyOf(poolOf("10.1.4.0/24"), poolOf("fd00::/120")))
		o := member("web-0")
		first, err := one.a.Take(context.Background(), o, wants)
		if err != nil {
			t.Fatal(err)
		}
		if len(first[0].MAC) != 6 || first[0].MAC.String() != first[1].MAC.String() {
			t.Errorf("MACs %v and %v", first[0].MAC, first[1].MAC)
		}
		other := member("web-1")
		if got := one.take(other, claiming(sts("web-1", "u1"), anyOf(poolOf("10.1.4.0/24")))); got == first[0].Address.String() {
			t.Errorf("two claims have %s", got)
		}
		for i, m := range []*machine{two, one, one, two} {
			before := []*machine{one, two, one, one}[i]
			before.free(o)
			time.Sleep(2 * time.Second)
			writes := store.Count("update", "address")
			o = member("web-0")
			got, err := m.a.Take(context.Background(), o, wants)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(first) {
				t.Fatalf("life %d: %v, %v, first it was %v", i, got, err, first)
			}
			if n := store.Count("update", "address") - writes; n != 2 {
				t.Errorf("life %d: %d writes for 2 addresses", i, n)
			}
		}
		if n := store.Count("create", "address"); n != 3 {
			t.Errorf("%d address objects were created", n)
		}
		two.kill()
		two.boot()
		if got := two.take(o, wants); got != words(first) {
			t.Errorf("after a restart the sandbox has %s", got)
		}
	})
}

func words(grants []ipam.Grant) string {
	var out []string
	for _, g := range grants {
		out = append(out, g.Address.String())
	}
	return strings.Join(out, " ")
}

// P9, P10, P17: an address is free when its sandbox is gone, and not before.
func TestClaimIsNotTakenFromARunningSandbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		wants := claiming(sts("web-0", "u1"), anyOf(poolOf("10.1.4.0/24")))
		old := member("web-0")
		had := one.take(old, wants)
		next := member("web-0")
		begun := time.Now()
		two.refuses(next, wants, ipam.ClaimInUse, "former sandbox of this Pod on node node-1", "delete its Node object")
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("refused after %v", took)
		}
		one.refuses(next, wants, ipam.ClaimInUse)
		one.kill() // and while its node cannot be reached
		two.refuses(next, wants, ipam.ClaimInUse)
		one.boot()
		go func() { time.Sleep(time.Second); one.free(old) }()
		if got := two.take(next, wants); got != had {
			t.Errorf("got %s, it had %s", got, had)
		}
		one.free(old) // late, and once more
		time.Sleep(time.Minute)
		third := member("web-0")
		one.refuses(third, wants, ipam.ClaimInUse)
		two.free(next)
		if got := one.take(third, wants); got != had {
			t.Errorf("got %s, it had %s", got, had)
		}
	})
}

func TestClaimIsFreedAfterACrashAndWithoutAPIServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		wants := claiming(sts("web-0", "u1"), anyOf(poolOf("10.1.4.0/24")))
		o := member("web-0")
		had := one.take(o, wants)
		away := true
		store.Through(func(ctx context.Context, c iptest.Call, deed func() error) error {
			if away {
				return context.DeadlineExceeded
			}
			return deed()
		})
		one.free(o)
		time.Sleep(time.Second)
		one.kill()
		one.boot()
		time.Sleep(time.Second)
		away = false
		if got := two.take(member("web-0"), wants); got != had {
			t.Errorf("got %s, it had %s", got, had)
		}
	})
}

// All or none: when the second address cannot be had, the claim has neither.
func TestClaimIsAllOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		full := poolOf("10.9.0.0/30")
		m.take(nobody("a"), anyOf(full))
		m.take(nobody("b"), anyOf(full))
		wants := claiming(sts("web-0", "u1"), anyOf(poolOf("10.1.4.0/24"), full))
		m.refuses(member("web-0"), wants, ipam.PoolFull)
		time.Sleep(10 * time.Second)
		if _, _, left := store.Objects(); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		if c := store.Claims(); len(c) != 1 || len(c[0].Has) != 0 {
			t.Errorf("claims: %+v", c)
		}
	})
}

func TestClaimOfAFormerStatefulSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := poolOf("10.1.4.0/24")
		o := member("web-0")
		had := m.take(o, claiming(sts("web-0", "u1"), anyOf(p)))
		m.free(o)
		anew := claiming(sts("web-0", "u2"), anyOf(p))
		m.refuses(member("web-0"), anew, ipam.ClaimInUse, "being deleted", "a workload of the same name that is no more")
		go func() { time.Sleep(time.Second); store.EndClaim("test", "web-0-net1") }()
		o = member("web-0")
		if got := m.take(o, anew); got == had {
			t.Errorf("the new StatefulSet got %s, which nobody gave back yet", got)
		}
		// Deleted without its Pods, and made again: what it had is kept.
		m.free(o)
		c := store.Claims()[0]
		has := c.Has[0]
		c.Holder = ipam.Holder{}
		if _, err := store.As("gc").OwnClaim(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := m.take(member("web-0"), claiming(sts("web-0", "u3"), anyOf(p))); got != has.Address.String() {
			t.Errorf("got %s, it had %s", got, has.Address)
		}
		if got := store.Claims()[0].Holder.UID; got != "u3" {
			t.Errorf("the claim goes with %q", got)
		}
	})
}

func TestClaimByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := poolOf("10.1.4.0/24")
		hand := claiming(&ipam.Claiming{Namespace: "test", Name: "vm"}, anyOf(p))
		m.refuses(member("vm-x"), hand, ipam.UnknownClaim, "there is no IPClaim test/vm")
		if _, err := store.As("user").CreateClaim(t.Context(), ipam.Claim{Meta: ipam.Meta{Name: "vm"}, Namespace: "test", Network: "test/blue",
			Wants: []netip.Addr{netip.MustParseAddr("10.1.4.77")}, WantsMAC: []byte{2, 0, 0, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		o := member("vm-x")
		got, err := m.a.Take(t.Context(), o, hand)
		if err != nil || words(got) != "10.1.4.77/24" || got[0].MAC.String() != "02:00:00:00:00:01" {
			t.Fatalf("got %v, %v", got, err)
		}
		m.refuses(member("vm-y"), hand, ipam.ClaimInUse, "interface net1 of Pod test/vm-x on node node-1", "name another claim")
		m.refuses(nobody("z"), static(p, "10.1.4.77"), ipam.Taken, "Pod test/vm-x")
		m.free(o)
		time.Sleep(time.Second)
		m.refuses(nobody("z"), static(p, "10.1.4.77"), ipam.Taken, "is kept for IPClaim test/vm")
		other := member("vm-x")
		other.Network = "test/red"
		m.refuses(other, hand, ipam.ClaimMismatch, "is for network test/blue, not for test/red")
		small := p
		small.Exclude = []ipam.Range{{First: netip.MustParseAddr("10.1.4.70"), Last: netip.MustParseAddr("10.1.4.80")}}
		m.refuses(member("vm-x"), claiming(hand[0].Claim, anyOf(small)), ipam.ClaimMismatch, "keeps address 10.1.4.77", "is excluded by", "delete ipclaim vm")
		m.refuses(member("vm-x"), claiming(hand[0].Claim, anyOf(poolOf("10.7.0.0/24"))), ipam.ClaimMismatch, "10.1.4.77", "not an address of pool")
		m.refuses(member("vm-x"), claiming(hand[0].Claim, static(p, "10.1.4.78")), ipam.ClaimMismatch, "10.1.4.78 is asked for", "has 10.1.4.77")
	})
}

// When everything is deleted under a running sandbox it keeps its address, and
// gets the object back.
func TestClaimSurvivesTheLossOfItsObjects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := poolOf("10.1.4.0/24")
		o := member("web-0")
		had := m.take(o, claiming(sts("web-0", "u1"), anyOf(p)))
		store.Wipe()
		time.Sleep(5 * time.Minute)
		m.refuses(nobody("z"), static(p, strings.TrimSuffix(had, "/24")), ipam.Taken)
		m.free(o)
		time.Sleep(time.Minute)
		_, _, left := store.Objects()
		for _, x := range left {
			if x.NodeUID != "" {
				t.Errorf("%s is still used by %s", x.Name, x.Owner.Key)
			}
		}
	})
}

// uncounted deletes an address by its UID alone.
type uncounted struct{ ipam.Store }

func (c uncounted) DropAddress(ctx context.Context, x ipam.Address) error {
	return c.Store.DeleteAddress(ctx, x.Name, x.UID)
}

// The write that lists a new address, and then the delete of it because it is
// not listed, are both late, in this order: the delete must come to nothing,
// because by then the address is used.
func TestLateDeleteOfAClaimsAddress(t *testing.T) {
	late := func(t *testing.T, wrap func(ipam.Store) ipam.Store) (left int) {
		bubble(t, func(t *testing.T) {
			store := iptest.NewStore()
			one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
			one.kill()
			one.wrap = wrap
			one.boot()
			after := map[string]time.Duration{"update claim": 3 * time.Second, "delete address": 10 * time.Second}
			var mu sync.Mutex
			begun := time.Now()
			store.Through(func(ctx context.Context, c iptest.Call, deed func() error) error {
				what := c.Verb + " " + c.Kind
				mu.Lock()
				d, ok := after[what]
				if ok {
					after[what] = 0
				}
				mu.Unlock()
				if d > 0 {
					go func() { time.Sleep(d); _ = deed() }()
				} else if !ok || time.Since(begun) > 4*time.Second {
					return deed()
				}
				return context.DeadlineExceeded
			})
			wants := claiming(sts("web-0", "u1"), anyOf(poolOf("10.1.4.0/24")))
			one.refuses(member("web-0"), wants, ipam.Unavailable)
			time.Sleep(5 * time.Second)
			two.take(member("web-0"), wants)
			time.Sleep(10 * time.Second)
			_, _, all := store.Objects()
			left = len(all)
		})
		return left
	}
	if n := late(t, nil); n != 1 {
		t.Errorf("%d address objects are left of one that is used", n)
	}
	if n := late(t, func(s ipam.Store) ipam.Store { return uncounted{s} }); n != 0 {
		t.Error("a delete by UID alone does no harm here: this test shows nothing")
	}
}

// A hole that a claim's address leaves in a block is looked at now and then,
// and is given out again when the claim is gone.
func TestHolesOfClaimsAreHealed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := poolOf("10.1.4.0/24")
		o := member("web-0")
		had := m.take(o, claiming(sts("web-0", "u1"), anyOf(p)))
		m.take(nobody("b"), anyOf(p))
		time.Sleep(5 * time.Minute)
		before := store.Count("list", "address")
		time.Sleep(10 * time.Minute)
		if n := store.Count("list", "address") - before; n > 25 {
			t.Errorf("%d lists in ten minutes of nothing", n)
		}
		m.free(o)
		time.Sleep(time.Second)
		_, _, all := store.Objects()
		if len(all) != 1 || all[0].NodeUID != "" {
			t.Fatalf("objects %+v", all)
		}
		if err := store.As("controller").DropAddress(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := m.take(nobody("c"), anyOf(p)); got != had {
			t.Errorf("got %s, free again is %s", got, had)
		}
	})
}
