package ipam_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

func inTurn(pools ...ipam.Pool) []ipam.Want {
	return []ipam.Want{{Pool: pools[0], Alternatives: pools[1:]}}
}

func TestAlternativesAreTriedWhenFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m, other := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		first, second := poolOf("10.1.2.0/30"), poolOf("10.1.3.0/30") // two addresses each
		second.Domain = "red"
		var owners []ipam.Owner
		for _, want := range []string{"10.1.2.1/30", "10.1.2.2/30", "10.1.3.1/30"} {
			o := nobody("a")
			owners = append(owners, o)
			if got := m.take(o, inTurn(first, second)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if got := m.take(owners[2], inTurn(first, second)); got != "10.1.3.1/30" {
			t.Errorf("asked again: %s", got)
		}
		m.refused(owners[2], anyOf(first), ipam.HoldsOther)
		if got := other.take(nobody("b"), inTurn(first, second)); got != "10.1.3.2/30" {
			t.Errorf("another node got %s", got)
		}
		err := m.refused(nobody("c"), inTurn(first, second), ipam.PoolFull)
		for _, word := range []string{"pool-10.1.2.0/30 is full: 2 of 2", "pool-10.1.3.0/30 is full: 2 of 2", "ranges of one larger"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
		// The first pool again, as soon as it has one, also from elsewhere.
		m.free(owners[0])
		time.Sleep(2 * time.Second)
		if got := other.take(nobody("d"), inTurn(first, second)); got != "10.1.2.1/30" {
			t.Errorf("after a free: %s", got)
		}
	})
}

func TestAlternativesOfNodesOwnPools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 1)
		first, second := poolOf("10.1.2.0/30"), poolOf("10.1.3.0/30")
		first.Local, second.Local = true, true
		for _, want := range []string{"10.1.2.1/30", "10.1.2.2/30", "10.1.3.1/30", "10.1.3.2/30"} {
			if got := m.take(nobody("a"), inTurn(first, second)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		m.refused(nobody("b"), inTurn(first, second), ipam.PoolFull)
	})
}

func TestStaticIsTakenOfTheAlternativeThatHasIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 2)
		wants := inTurn(poolOf("10.1.2.0/24"), poolOf("10.1.3.0/24"))
		wants[0].Static = netip.MustParseAddr("10.1.3.9")
		o := nobody("a")
		if got := m.take(o, wants); got != "10.1.3.9/24" {
			t.Errorf("got %s", got)
		}
		if got := m.take(o, wants); got != "10.1.3.9/24" {
			t.Errorf("again: %s", got)
		}
		wants[0].Static = netip.MustParseAddr("10.1.3.255")
		if err := m.refused(nobody("b"), wants, ipam.Excluded); !strings.Contains(err.Error(), "broadcast") {
			t.Error(err)
		}
	})
}

func TestConfigNamesAlternatives(t *testing.T) {
	c, err := ipam.ParseConfig([]byte(`{"type":"tsunagu","pools":[["a","b"],"c"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(c.PoolNames); string(got) != `[["a","b"],["c"]]` {
		t.Errorf("got %s", got)
	}
	a, b, v6 := poolOf("10.1.2.0/24"), poolOf("10.1.3.0/24"), poolOf("fd00::/64")
	wants, _, err := c.Wants([][]ipam.Pool{{a, b}, {v6}}, []string{"10.1.3.7"})
	if err != nil || len(wants) != 2 || wants[0].Pool.Name != b.Name || wants[0].Static.String() != "10.1.3.7" || wants[1].Static.IsValid() {
		t.Errorf("got %+v, %v", wants, err)
	}
}

// An IPv4 address decides the MAC of its interface where the pool says so,
// also for who asks again.
func TestMACFollowsFromTheAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var o v1alpha1.IPPool
		o.Name, o.Spec = "p", v1alpha1.IPPoolSpec{Subnet: v1alpha1.Subnet{CIDR: "10.1.2.0/24", AddressPolicy: v1alpha1.AddressPolicy{MACPrefix: "02:0a"}}}
		p, err := ipam.ParsePool(o)
		if err != nil {
			t.Fatal(err)
		}
		m := newMachine(t, iptest.NewStore(), 1, 1)
		owner := nobody("a")
		for _, when := range []string{"first", "again", "after a crash"} {
			grants, err := m.a.Take(t.Context(), owner, anyOf(p, poolOf("fd00::/64")))
			if err != nil || grants[0].MAC.String() != "02:0a:0a:01:02:01" || grants[1].MAC != nil {
				t.Errorf("%s: got %+v, %v", when, grants, err)
			}
			if when == "again" {
				m.kill()
				m.boot()
			}
		}
	})
}
