package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// Config is one schedule. Zero values have the defaults given.
type Config struct {
	Seed uint64
	// Nodes is how many there are, 2 to 5; Pods how many each of the four
	// workers of a node makes, one after the other, 8.
	Nodes, Pods int
	// Calm leaves the faults out.
	Calm bool
	// Unsettled: regions go and come back with other units all the time.
	Unsettled bool
	// Lossy: nodes are replaced and registered anew all the time.
	Lossy bool
	// Sexton makes the memory of one controller that buries lost nodes.
	// Default is a model of the controller's; its own test passes the real one.
	Sexton func() Sexton

	// Store and Log plant a bug between an agent and what it rests on.
	Store func(ipam.Store, Seat) ipam.Store
	Log   func(ipam.Log) ipam.Log
	Plants
}

// Plants are bugs of those around the allocator.
type Plants struct {
	// FreeWithPod frees addresses when the Pod object goes, not the sandbox.
	FreeWithPod bool
	// DeleteByName frees on DEL what any sandbox of that Pod's name holds.
	DeleteByName bool
	// NoTombstone forgets a DEL that comes before its ADD.
	NoTombstone bool
	// OneByOne takes address by address, and keeps those that it got when one
	// is refused.
	OneByOne bool
	// NoQuarantine buries a node at the first look, NoEvidence does not ask
	// for its Pods, WallClock counts the quarantine on a clock that jumps.
	NoQuarantine, NoEvidence, WallClock bool
	// HastyDelete buries by name, without a precondition on the object's UID.
	HastyDelete bool
	// NoDrainCheck drops a region without looking for blocks after the mark.
	NoDrainCheck bool
}

// Seat is where a planted Store stands: the agent of a node.
type Seat struct {
	World     *World
	Node, UID string
}

// Result is what came of a schedule.
type Result struct {
	Duplicates []oracle.Duplicate
	// Leaks is what is left when nothing should be, or what does not work
	// although everything is well again.
	Leaks []string
	// Trace is a digest of every call to the API server and its moment.
	Trace uint64
	// Counts is how often what happened.
	Counts map[string]int
}

// Found tells whether anything is wrong.
func (r Result) Found() bool { return len(r.Duplicates)+len(r.Leaks) > 0 }

// Run runs one schedule, which takes some 40 ms. It must be called in a bubble
// of testing/synctest.
func Run(c Config) Result {
	if c.Nodes == 0 {
		c.Nodes = 2 + int(c.Seed%4)
	}
	if c.Pods == 0 {
		c.Pods = 8
	}
	if c.Sexton == nil {
		c.Sexton = func() Sexton { return &grave{since: map[[2]string]time.Time{}} }
	}
	w := &World{
		Config: c, Store: iptest.NewStore(), machines: map[string]*machine{}, dead: map[string]bool{}, sandboxes: map[string]*sandbox{},
		nodes: map[string]string{}, pods: map[string]string{}, counts: map[string]int{},
	}
	w.Store.Through(w.gate)
	w.Store.Lag = w.lag
	w.Store.Twist = w.twist
	for i := range c.Nodes {
		s := &slot{w: w, name: fmt.Sprintf("n%d", i)}
		s.machine = newMachine(w, s.name)
		w.slots = append(w.slots, s)
	}
	var lives, chaos sync.WaitGroup
	for _, s := range w.slots {
		for worker := range 4 {
			lives.Go(func() { w.work(s, worker) })
		}
	}
	finished := make(chan struct{})
	if !c.Calm {
		chaos.Go(func() { w.chaos(finished) })
	}
	for _, name := range []string{"one", "other"} {
		chaos.Go(func() { w.control(name, finished) })
	}
	lives.Wait()
	w.calm()
	w.settle()
	close(finished)
	chaos.Wait()
	for _, m := range w.machines {
		m.kill()
	}
	time.Sleep(10 * time.Second) // until the last late write has arrived
	return Result{Duplicates: w.history.Duplicates(), Leaks: w.wrong, Trace: w.trace, Counts: w.counts}
}
