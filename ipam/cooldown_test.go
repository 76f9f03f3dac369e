package ipam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

func cooling(cidr string, d time.Duration) ipam.Pool {
	p := poolOf(cidr)
	p.Cooldown = d
	return p
}

func TestCooldownKeepsAnAddressFromTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m, other := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		p := cooling("10.1.2.0/29", 5*time.Minute) // six addresses
		one := nobody("one")
		first := m.take(one, anyOf(p))
		m.free(one)
		begun := time.Now()
		var owners []ipam.Owner
		for range 5 {
			o := nobody("a")
			owners = append(owners, o)
			if got := m.take(o, anyOf(p)); got == first {
				t.Errorf("%s is given out again after %v", got, time.Since(begun))
			}
		}
		err := m.refused(nobody("b"), anyOf(p), ipam.PoolFull)
		for _, word := range []string{"5 of 6", "1 address of this node rest", "5m0s", "ready in "} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
		other.refused(nobody("c"), anyOf(p), ipam.PoolFull)
		time.Sleep(2 * time.Minute)
		m.kill() // a crash does not wake it
		m.boot()
		m.refused(nobody("d"), anyOf(p), ipam.PoolFull)
		other.refused(nobody("e"), anyOf(p), ipam.PoolFull)
		if left := 5*time.Minute - time.Since(begun); left < 2*time.Minute {
			t.Fatalf("the test took too long: %v left", left)
		}
		// Who asks for it by number gets it.
		if got := other.take(nobody("static"), static(p, strings.TrimSuffix(first, "/29"))); got != first {
			t.Errorf("by number: %s", got)
		}
		m.free(owners[0])
		time.Sleep(6 * time.Minute)
		if got := other.take(nobody("f"), anyOf(p)); got == "" {
			t.Error("nothing after the cooldown")
		}
	})
}

func TestCooldownOrderIsAcrossBlocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 1)
		p := poolOf("10.1.2.0/27")
		p.Resting, p.BlockSize = true, 8
		var owners []ipam.Owner
		for range 30 { // all of it
			o := nobody("a")
			owners = append(owners, o)
			m.take(o, anyOf(p))
		}
		var want []string
		for _, i := range []int{20, 3, 28, 11, 4} {
			want = append(want, m.take(owners[i], anyOf(p)))
			m.free(owners[i])
			time.Sleep(10 * time.Millisecond)
		}
		for _, w := range want {
			if got := m.take(nobody("b"), anyOf(p)); got != w {
				t.Errorf("got %s, want %s: the one given back longest ago", got, w)
			}
		}
	})
}

// A small pool that is leased address by address is not given out from below
// again and again either.
func TestCooldownOrderOfSingleAddresses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 50)
		p := poolOf("10.1.2.0/28")
		p.Resting = true
		seen := map[string]bool{}
		for range 14 {
			o := nobody("a")
			seen[m.take(o, anyOf(p))] = true
			m.free(o)
			time.Sleep(time.Second)
		}
		if len(seen) != 14 {
			t.Errorf("14 Pods one after the other got %d addresses of 14", len(seen))
		}
	})
}

func TestLowestOrderOfALargePool(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 3)
		p := poolOf("10.1.0.0/16")
		p.Lowest = true
		one, two := nobody("one"), nobody("two")
		if got := m.take(one, anyOf(p)); got != "10.1.0.1/16" {
			t.Errorf("got %s", got)
		}
		m.take(two, anyOf(p))
		m.free(one)
		if got := m.take(nobody("three"), anyOf(p)); got != "10.1.0.1/16" {
			t.Errorf("got %s", got)
		}
	})
}
