package ipam_test

import (
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// A pool that is full says so with numbers that add up, also when its blocks
// were filled a moment ago.
func TestFullPoolCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two, three := newMachine(t, store, 1, 3), newMachine(t, store, 2, 3), newMachine(t, store, 3, 3)
		p := poolOf("10.1.2.0/28")
		three.take(nobody("s"), static(p, "10.1.2.14"))
		for range 6 {
			one.take(nobody("a"), anyOf(p))
		}
		for range 7 {
			two.take(nobody("b"), anyOf(p))
		}
		err := three.refused(nobody("x"), anyOf(p), ipam.PoolFull)
		for _, word := range []string{"14 of 14", "10.1.2.0/28", "node-1 holds", "node-2 holds"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
	})
}
