package ipam_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

func limited(cidr string, most int) ipam.Pool {
	p := poolOf(cidr)
	p.Quotas = map[string]int{"test": most}
	return p
}

func in(namespace string) ipam.Owner {
	o := nobody("pod")
	o.Namespace = namespace
	return o
}

func TestQuotaIsExactOverAllNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := limited("10.1.2.0/24", 10)
		p.Quotas[""] = 2
		machines := []*machine{newMachine(t, store, 1, 3), newMachine(t, store, 2, 3), newMachine(t, store, 3, 3)}
		var mu sync.Mutex
		var wg sync.WaitGroup
		holders := map[*machine][]ipam.Owner{}
		for _, m := range machines {
			for range 20 {
				wg.Go(func() {
					o := nobody("a")
					for range 10 {
						if _, err := m.a.Take(context.Background(), o, anyOf(p)); err == nil {
							mu.Lock()
							holders[m] = append(holders[m], o)
							mu.Unlock()
							return
						}
						time.Sleep(100 * time.Millisecond)
					}
				})
			}
		}
		wg.Wait()
		n := 0
		for m, owners := range holders {
			n += len(owners)
			for _, h := range m.a.Held() {
				if len(h.Grants) != 1 || !strings.HasPrefix(h.Grants[0].Address.String(), "10.1.2.") {
					t.Errorf("a token is seen: %v", h.Grants)
				}
			}
		}
		if n != 10 {
			t.Errorf("namespace test holds %d addresses, its quota is 10", n)
		}
		err := machines[0].refused(nobody("x"), anyOf(p), ipam.QuotaExceeded)
		for _, word := range []string{"namespace test holds 10 of 10 addresses of pool " + p.Name, "raise its quota in IPPool"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
		// Others have quotas of their own, or none.
		machines[0].take(in("other"), anyOf(p))
		machines[1].take(in("other"), anyOf(p))
		machines[2].refused(in("other"), anyOf(p), ipam.QuotaExceeded)
		machines[2].take(in("third"), anyOf(p))
		open := poolOf("10.1.2.0/24")
		machines[0].take(nobody("free"), anyOf(open))
		// One that goes makes room for one anywhere.
		for m, owners := range holders {
			m.free(owners[0])
			break
		}
		time.Sleep(2 * time.Second)
		for i, m := range machines {
			_, err := m.a.Take(context.Background(), nobody("late"), anyOf(p))
			if (err == nil) != (i == 0) {
				t.Errorf("node %d: %v", i, err)
			}
		}
	})
}

func TestQuotaIsNeitherChargedTwiceNorForARefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := limited("10.1.2.0/30", 3) // two addresses
		one := nobody("one")
		m.take(one, anyOf(p))
		m.take(one, anyOf(p))
		m.take(nobody("two"), static(p, "10.1.2.2"))
		for range 5 {
			m.refused(nobody("x"), anyOf(p), ipam.PoolFull)
		}
		wide := limited("10.1.2.0/30", 3)
		wide.Prefix = poolOf("10.1.2.0/28").Prefix // the same pool, larger
		m.take(nobody("three"), anyOf(wide))
		m.refused(nobody("four"), anyOf(wide), ipam.QuotaExceeded)
		m.refused(nobody("five"), inTurn(wide, poolOf("10.9.0.0/24")), ipam.QuotaExceeded)
		m.refused(nobody("six"), static(wide, "10.1.2.9"), ipam.QuotaExceeded)
		m.kill()
		m.boot()
		m.refused(nobody("seven"), anyOf(wide), ipam.QuotaExceeded)
		m.free(one)
		m.take(nobody("eight"), anyOf(wide))
		m.refused(nobody("nine"), anyOf(wide), ipam.QuotaExceeded)
		// Two of it for one interface cost two, or nothing.
		roomy := limited("10.7.0.0/24", 3)
		m.take(nobody("a"), anyOf(roomy, roomy))
		m.refused(nobody("b"), anyOf(roomy, roomy), ipam.QuotaExceeded)
		m.take(nobody("c"), anyOf(roomy))
		none := limited("10.8.0.0/24", 0)
		if err := m.refused(nobody("d"), anyOf(none), ipam.QuotaExceeded); !strings.Contains(err.Error(), "quota is 0") {
			t.Error(err)
		}
	})
}

func TestQuotaCostsNoWriteWhenWarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := limited("10.1.0.0/16", 1000)
		m.take(nobody("stays"), anyOf(p))
		time.Sleep(time.Second)
		writes := func() int { return store.Count("create", "block") + store.Count("create", "address") }
		before := writes()
		for range 50 {
			o := nobody("a")
			m.take(o, anyOf(p))
			m.free(o)
		}
		if got := writes() - before; got != 0 {
			t.Errorf("%d writes for 50 Pods on a node that has addresses and tokens", got)
		}
	})
}

func TestQuotaIsChangedWhileInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		var owners []ipam.Owner
		for range 4 {
			o := nobody("a")
			owners = append(owners, o)
			one.take(o, anyOf(limited("10.1.2.0/24", 4)))
		}
		two.refused(nobody("b"), anyOf(limited("10.1.2.0/24", 4)), ipam.QuotaExceeded)
		two.take(nobody("c"), anyOf(limited("10.1.2.0/24", 5))) // raised
		err := two.refused(nobody("d"), anyOf(limited("10.1.2.0/24", 2)), ipam.QuotaExceeded)
		if !strings.Contains(err.Error(), "of 2 addresses") {
			t.Error(err)
		}
		for _, o := range owners { // those that have them keep them, until they go
			one.free(o)
		}
		time.Sleep(time.Minute)
		two.take(nobody("e"), anyOf(limited("10.1.2.0/24", 2)))
	})
}

// A quota that is written, or lowered, while Pods have addresses counts those
// that they have.
func TestQuotaCountsWhatWasHeldBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		now := poolOf("10.1.2.0/24")
		known := func(string) (ipam.Pool, bool) { return now, true }
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		for _, m := range []*machine{one, two} {
			m.pool = known
			m.kill()
			m.boot()
		}
		var owners []ipam.Owner
		for range 6 {
			o := nobody("a")
			owners = append(owners, o)
			one.take(o, anyOf(now))
		}
		now = limited("10.1.2.0/24", 8)
		time.Sleep(time.Minute)
		two.take(nobody("b"), anyOf(now))
		two.take(nobody("c"), anyOf(now))
		two.refused(nobody("d"), anyOf(now), ipam.QuotaExceeded)
		// Lowered to what the six have, less one that goes.
		now = limited("10.1.2.0/24", 6)
		time.Sleep(time.Minute)
		two.refused(nobody("e"), anyOf(now), ipam.QuotaExceeded)
		for _, o := range owners[:2] {
			one.free(o)
		}
		time.Sleep(2 * time.Minute)
		two.refused(nobody("f"), anyOf(now), ipam.QuotaExceeded) // four and two
		one.kill()
		one.boot()
		one.free(owners[2])
		time.Sleep(2 * time.Minute)
		two.take(nobody("g"), anyOf(now))
		two.refused(nobody("h"), anyOf(now), ipam.QuotaExceeded)
		// Without a quota nothing is left of it.
		now = poolOf("10.1.2.0/24")
		time.Sleep(30 * time.Minute)
		_, blocks, bound := store.Objects()
		for _, b := range blocks {
			if ipam.IsQuota(b.Domain) {
				t.Errorf("block %s of tokens is left", b.Name)
			}
		}
		for _, x := range bound {
			t.Errorf("token %s is left", x.Name)
		}
	})
}

// A claim costs a token while a Pod uses it, and none while it is idle. It comes
// back when there is a token again, with the address that it kept.
func TestIdleClaimsCostNothingOfAQuota(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := limited("10.1.2.0/28", 1)
		first := member("web-0")
		at := m.take(first, claiming(sts("web-0", "u1"), anyOf(p)))
		other := nobody("other")
		m.refuses(other, anyOf(p), ipam.QuotaExceeded)
		m.free(first)
		time.Sleep(2 * time.Second)
		if got := m.take(other, anyOf(p)); got == at {
			t.Errorf("%s is the claim's and was given to another", got)
		}
		second := member("web-0")
		m.refuses(second, claiming(sts("web-0", "u1"), anyOf(p)), ipam.QuotaExceeded)
		m.free(other)
		time.Sleep(2 * time.Second)
		if got := m.take(second, claiming(sts("web-0", "u1"), anyOf(p))); got != at {
			t.Errorf("the claim had %s, has %s", at, got)
		}
	})
}
