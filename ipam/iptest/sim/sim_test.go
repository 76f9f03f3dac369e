package sim_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tsunagu-net/tsunagu/ipam/iptest/sim"
)

// defaultSeeds is what every run of the tests can afford; TSUNAGU_SEEDS asks
// for more (make test does), TSUNAGU_FIRST_SEED says where to begin. A planted
// bug must be found within mostSeeds.
const (
	defaultSeeds = 300
	mostSeeds    = 600
)

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, text, err)
	}
	return n
}

// schedule is what a seed runs: in every third regions come and go, in every
// fifth nodes.
func schedule(seed int) sim.Config {
	return sim.Config{Seed: uint64(seed), Unsettled: seed%3 == 2, Lossy: seed%5 == 4}
}

func run(t *testing.T, c sim.Config) (r sim.Result) {
	synctest.Test(t, func(*testing.T) { r = sim.Run(c) })
	return r
}

// each runs seeds in a few goroutines of tests, which end when one says so.
func each(t *testing.T, first, n int, f func(t *testing.T, seed int) (more bool)) {
	const lanes = 4
	t.Run("lanes", func(t *testing.T) {
		for lane := range lanes {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for seed := first + lane; seed < first+n && f(t, seed); seed += lanes {
				}
			})
		}
	})
}

// Whatever goes wrong, no address has two users, and when all is well again
// nothing is left behind and everything works.
func TestSimulation(t *testing.T) {
	first, n := number(t, "TSUNAGU_FIRST_SEED", 0), number(t, "TSUNAGU_SEEDS", defaultSeeds)
	if testing.Short() && os.Getenv("TSUNAGU_SEEDS") == "" {
		n /= 10
	}
	var mu sync.Mutex
	sum := map[string]int{}
	each(t, first, n, func(t *testing.T, seed int) bool {
		r := run(t, schedule(seed))
		for _, d := range r.Duplicates {
			t.Errorf("seed %d: duplicate: %v", seed, d)
		}
		for _, l := range r.Leaks {
			t.Errorf("seed %d: %s", seed, l)
		}
		if r.Found() {
			t.Errorf("again: TSUNAGU_FIRST_SEED=%d TSUNAGU_SEEDS=1 go test ./ipam/iptest/sim -run TestSimulation -count=5", seed)
		}
		mu.Lock()
		defer mu.Unlock()
		for k, v := range r.Counts {
			sum[k] += v
		}
		return true
	})
	t.Logf("%d schedules: %s", n, counted(sum))
	if n < 100 {
		return
	}
	for _, must := range []string{
		"ADD done", "ADD strays", "ADD AddressTaken", "ADD PoolFull", "ADD Forbidden", "DEL late", "DEL never", "agent killed", "machine rebooted",
		"machine replaced", "node registered anew", "released", "region dropped", "log crash before", "log crash after", "log full", "call answer lost",
		"call arrives late", "call refused", "call conflicts", "call times out", "watch goes back", "watch breaks", "swept a holding", "swept an object",
	} {
		if sum[must] < 10 {
			t.Errorf("%q happened %d times: the simulation does not do what it is for", must, sum[must])
		}
	}
}

func counted(sum map[string]int) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(sum)) {
		words = append(words, fmt.Sprintf("%s %d", k, sum[k]))
	}
	return strings.Join(words, ", ")
}

// A seed is worth telling: it is the same schedule each time, call by call.
func TestSeedIsASchedule(t *testing.T) {
	differ := 0
	const n = 24
	for seed := range n {
		one, other := run(t, schedule(seed)), run(t, schedule(seed))
		if one.Trace != other.Trace {
			differ++
			t.Logf("seed %d differs", seed)
		}
	}
	// Of two things that are ready at one nanosecond Go's select takes either:
	// a seed that found something may have to be run a few times (-count).
	if differ > n*2/3 {
		t.Errorf("%d of %d seeds are other schedules the second time", differ, n)
	}
}
