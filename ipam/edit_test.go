package ipam_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// P14: a pool is edited while its addresses are in use. Who has an address
// keeps it, nobody else gets it, and new Pods go by what is written now.

// everything takes addresses until the pool is full, and says which.
func (m *machine) everything(p ipam.Pool) map[netip.Addr]bool {
	m.t.Helper()
	got := map[netip.Addr]bool{}
	for range p.Size() + 1 {
		grants, err := m.a.Take(context.Background(), nobody("x"), anyOf(p))
		if err != nil {
			if ipam.ReasonOf(err) != ipam.PoolFull {
				m.t.Errorf("%s: %v", m.name, err)
			}
			return got
		}
		a := grants[0].Address.Addr()
		if got[a] {
			m.t.Errorf("%s is given out twice", a)
		}
		got[a] = true
	}
	m.t.Errorf("pool %s gives out more than it has", p.Name)
	return got
}

func ranges(cidr, first, last string) ipam.Pool {
	p := poolOf(cidr)
	p.Ranges = []ipam.Range{{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}}
	return p
}

func TestPoolIsShrunkWhileInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		old := nobody("old")
		one.take(old, static(poolOf("10.1.2.0/24"), "10.1.2.14"))
		low := nobody("low")
		one.take(low, anyOf(poolOf("10.1.2.0/24")))
		small := ranges("10.1.2.0/24", "10.1.2.1", "10.1.2.9")
		got := two.everything(small)
		for a := range one.everything(small) {
			if got[a] {
				t.Errorf("%s has two users", a)
			}
			got[a] = true
		}
		if len(got) != 8 || got[netip.MustParseAddr("10.1.2.14")] {
			t.Errorf("8 are left of 9, given out are %v", got)
		}
		// What lies outside now is kept, freed, and not given out any more.
		if held := one.a.Held(); len(held) < 2 {
			t.Errorf("held: %v", held)
		}
		one.free(old)
		one.refused(nobody("x"), static(small, "10.1.2.14"), ipam.OutOfRange)
		time.Sleep(2 * time.Second)
		two.refused(nobody("x"), anyOf(small), ipam.PoolFull)
	})
}

func TestGatewayMovesToAnAddressInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 1)
		p := ranges("10.1.2.0/24", "10.1.2.1", "10.1.2.4")
		p.Gateway = netip.MustParseAddr("10.1.2.1")
		o := nobody("old")
		if at := m.take(o, anyOf(p)); !strings.HasPrefix(at, "10.1.2.2/") {
			t.Fatalf("got %s", at)
		}
		p.Gateway = netip.MustParseAddr("10.1.2.2")
		m.free(o)
		got := m.everything(p)
		if len(got) != 3 || got[p.Gateway] {
			t.Errorf("given out are %v", got)
		}
	})
}

func TestPrefixChangesWhileInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		narrow := poolOf("10.1.2.16/28")
		o := nobody("old")
		at := one.take(o, anyOf(narrow))
		wide := poolOf("10.1.2.0/26")
		wide.Name = narrow.Name
		got := two.everything(wide)
		for a := range one.everything(wide) {
			if got[a] {
				t.Errorf("%s has two users", a)
			}
			got[a] = true
		}
		if a := netip.MustParsePrefix(at).Addr(); got[a] {
			t.Errorf("%s is in use, and was given out again", a)
		}
		if len(got) != 61 {
			t.Errorf("%d given out of 61", len(got))
		}
		// A retry of the same ADD has the same address, by the prefix it was told.
		if again := one.take(o, anyOf(narrow)); again != at {
			t.Errorf("had %s, has %s", at, again)
		}
	})
}

// A pool that is deleted and made again under its name, for another subnet and
// in another domain, has nothing of the first.
func TestPoolIsMadeAgainUnderItsName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one := newMachine(t, store, 1, 1)
		before := poolOf("10.1.2.0/29")
		o := nobody("old")
		one.take(o, anyOf(before))
		same := poolOf("10.1.2.0/29") // the same again
		if got := one.everything(same); len(got) != 5 {
			t.Errorf("%v are given out, of 5 that nobody has", got)
		}
		after := poolOf("10.9.0.0/29")
		after.Name, after.Domain = before.Name, "green"
		if got := one.everything(after); len(got) != 6 {
			t.Errorf("%v are given out of 6", got)
		}
		one.kill()
		one.boot()
		time.Sleep(time.Second)
		one.refused(nobody("x"), anyOf(before), ipam.PoolFull)
		one.free(o)
		one.take(nobody("x"), anyOf(before))
	})
}

func TestPoolsOfIPv6Alone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 50), newMachine(t, store, 2, 50)
		for _, cidr := range []string{"fd00:1::/64", "fd00:2::/48", "fd00:3::/120"} {
			p := poolOf(cidr)
			seen := map[string]bool{}
			for range 20 {
				for _, m := range []*machine{one, two} {
					at := m.take(nobody("x"), anyOf(p))
					if seen[at] || !p.Prefix.Contains(netip.MustParsePrefix(at).Addr()) || netip.MustParsePrefix(at).Addr() == p.Prefix.Addr() {
						t.Errorf("%s gives out %s", cidr, at)
					}
					seen[at] = true
				}
			}
		}
		small := poolOf("fd00:4::/125")
		got := one.everything(small)
		for a := range two.everything(small) {
			if got[a] {
				t.Errorf("%s has two users", a)
			}
			got[a] = true
		}
		if len(got) < 6 {
			t.Errorf("%v are given out of a /125", got)
		}
	})
}

// Two pools of one domain that overlap, as two CRs do that were created at
// once: no address is given out by both.
func TestOverlappingPoolsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		a, b := poolOf("10.1.2.0/27"), poolOf("10.1.2.0/28")
		b.Gateway = netip.MustParseAddr("10.1.2.14")
		got := one.everything(b)
		for x := range two.everything(a) {
			if got[x] {
				t.Errorf("%s is given out by both", x)
			}
		}
	})
}
