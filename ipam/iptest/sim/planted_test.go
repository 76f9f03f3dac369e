package sim_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/sim"
)

// bug is one that is planted. Lasting: it is a leak or something that does not
// work; the others make duplicates.
type bug struct {
	name  string
	plant func(*sim.Config)
}

func inStore(f func(ipam.Store, sim.Seat) ipam.Store) func(*sim.Config) {
	return func(c *sim.Config) { c.Store = f }
}

func inLog(kind string) func(*sim.Config) {
	return func(c *sim.Config) { c.Log = func(l ipam.Log) ipam.Log { return forgetful{l, kind} } }
}

func around(f func(*sim.Plants)) func(*sim.Config) {
	return func(c *sim.Config) { f(&c.Plants) }
}

// lossy is for bugs that matter when nodes go.
func lossy(f func(*sim.Plants)) func(*sim.Config) {
	return func(c *sim.Config) { c.Lossy = true; f(&c.Plants) }
}

func newCached(s ipam.Store, at sim.Seat) cached { return cached{s, at, new(sync.Mutex), &snapshot{}} }

// bugs is the list kept with the simulation: it must find each.
var bugs = []bug{
	{"no look for static addresses after a claim", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return blind{s} })},
	{"static addresses are listed from a cache after a claim", inStore(func(s ipam.Store, at sim.Seat) ipam.Store { return newCached(s, at) })},
	{"no look for the block of a static address", inStore(func(s ipam.Store, at sim.Seat) ipam.Store { return rash{s, at} })},
	{"blocks are read from a cache", inStore(func(s ipam.Store, at sim.Seat) ipam.Store { return oldBlocks{newCached(s, at)} })},
	{"a block that exists is taken for ours", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return greedy{s} })},
	{"the node's name is trusted instead of its UID", inStore(func(s ipam.Store, at sim.Seat) ipam.Store { return namesake{s, at} })},
	{"a region is believed to keep its unit", func(c *sim.Config) {
		c.Unsettled = true
		c.Store = func(s ipam.Store, _ sim.Seat) ipam.Store { return settled{s, new(sync.Map)} }
	}},
	{"what the watch says is taken for the truth", inStore(func(s ipam.Store, at sim.Seat) ipam.Store {
		return credulous{s, at, new(sync.Mutex), map[string]ipam.Block{}}
	})},
	{"a write that was refused is told as success (H4)", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return boastful{s} })},
	{"the second family is not protected (H5)", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return halfway{s} })},
	{"an address is cut out without a look at the log", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return generous{s} })},
	{"an address that was cut out is given out again untold", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return mute{s} })},
	{"the requester answers its own request", inStore(func(s ipam.Store, at sim.Seat) ipam.Store { return thief{s, at} })},
	{"the agent deletes a block without its UID", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return careless{s} })},
	{"bound addresses are freed in the log only", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return leaky{s} })},
	{"blocks are given back in memory only", inStore(func(s ipam.Store, _ sim.Seat) ipam.Store { return hoarder{s} })},
	{"the reply goes out before the log has it", inLog("h/")},
	{"addresses are free when the Pod object is gone", around(func(p *sim.Plants) { p.FreeWithPod = true })},
	{"DEL goes by the Pod's name", around(func(p *sim.Plants) { p.DeleteByName = true })},
	{"a DEL before its ADD is forgotten", around(func(p *sim.Plants) { p.NoTombstone = true })},
	{"the first address is kept when the second is refused (H7)", around(func(p *sim.Plants) { p.OneByOne = true })},
	{"a lost node is buried at once", lossy(func(p *sim.Plants) { p.NoQuarantine = true })},
	{"a lost node is buried while it has Pods", lossy(func(p *sim.Plants) { p.NoEvidence = true })},
	{"the quarantine is counted on a wall clock", lossy(func(p *sim.Plants) { p.WallClock = true })},
	{"the controller deletes without the object's UID", lossy(func(p *sim.Plants) { p.HastyDelete = true })},
	{"a region's unit changes while it has blocks", around(func(p *sim.Plants) { p.NoDrainCheck = true })},
}

// The simulation is worth what it finds: each planted bug, within as many
// schedules as every run of the tests goes through.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			var found, tried atomic.Int64
			var how atomic.Value
			each(t, 0, mostSeeds, func(t *testing.T, seed int) bool {
				if found.Load() > 0 {
					return false
				}
				c := schedule(seed)
				bug.plant(&c)
				tried.Add(1)
				if r := run(t, c); r.Found() && found.Add(1) == 1 {
					how.Store(first(r))
				}
				return found.Load() == 0
			})
			if found.Load() == 0 {
				t.Errorf("not found in %d schedules", tried.Load())
				return
			}
			t.Logf("after %d schedules: %v", tried.Load(), how.Load())
		})
	}
}

func first(r sim.Result) string {
	if len(r.Duplicates) > 0 {
		return "duplicate: " + r.Duplicates[0].String()
	}
	return r.Leaks[0]
}
