package lease

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var one = flag.Uint64("seed", 0, "run this schedule alone, and tell what happens")

// schedules is how many are run: TSUNAGU_SCHEDULES, else enough for a laptop's
// patience.
func schedules(t *testing.T, otherwise int) int {
	text := os.Getenv("TSUNAGU_SCHEDULES")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TSUNAGU_SCHEDULES=%q is no number of schedules", text)
	}
	return n
}

// TestNeverTwoOwners runs random schedules of loss, delay, doubling,
// partitions, pauses, crashes, clock drift, changes of members and hand-overs:
// at no time may two fences be open, and when all is well again somebody owns.
func TestNeverTwoOwners(t *testing.T) {
	if *one != 0 {
		if err := schedule(*one, t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	n := schedules(t, 100_000)
	var next, owned atomic.Uint64
	var failed sync.Map
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed := next.Add(1); seed <= uint64(n); seed = next.Add(1) {
				if err := schedule(seed, nil); err != nil {
					failed.Store(seed, err)
					next.Store(uint64(n))
				}
				owned.Add(1)
			}
		})
	}
	wait.Wait()
	failed.Range(func(seed, err any) bool {
		t.Errorf("schedule %d: %v\nrun it again: go test ./vip/lease -run TestNeverTwoOwners -seed %d -v", seed, err, seed)
		return true
	})
	t.Logf("%d schedules", owned.Load())
}

// world is a number of nodes, a network and real time, which no node knows.
type world struct {
	random *rand.Rand
	now    time.Duration
	queue  events
	count  uint64
	nodes  []*node
	timing Timing
	logf   func(string, ...any)

	loss, double, slow float64
	cut                map[[2]ID]bool
	calm               bool
	reshaping          bool // members change all the time
	owners             int  // how often an ownership began
}

// node is a machine with its clock, disk and fence.
type node struct {
	id     ID
	m      *Machine
	rate   float64       // of its clock
	offset time.Duration // of its clock
	kept   Kept
	paused bool
	queued []Message
	tick   uint64 // the newest timer
	// open is until when the fence stands open, in real time.
	open   time.Duration
	health Health
	booted time.Duration
	former bool // a process has run since the boot
	died   time.Duration
}

func (n *node) clock(real time.Duration) Instant {
	return Instant(float64(real-n.booted)*n.rate) + Instant(n.offset)
}

// real is when the node's clock will show i.
func (n *node) real(i Instant) time.Duration {
	return n.booted + time.Duration(float64(i-Instant(n.offset))/n.rate)
}

type event struct {
	at    time.Duration
	order uint64
	do    func() error
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (w *world) at(d time.Duration, do func() error) {
	w.count++
	heap.Push(&w.queue, event{w.now + d, w.count, do})
}

func (w *world) log(format string, args ...any) {
	if w.logf != nil {
		w.logf("%8.3fs %s", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// drift is how much faster or slower than real time a clock may run: two of
// them less than the guard apart.
const drift = 0.024

// schedule runs one world from a seed.
func schedule(seed uint64, logf func(string, ...any)) error {
	r := rand.New(rand.NewPCG(seed, 47))
	w := &world{random: r, logf: logf, cut: map[[2]ID]bool{}, timing: []Timing{Default, Fast, WAN}[r.IntN(3)]}
	w.reshaping = r.IntN(3) == 0
	count := 1 + r.IntN(5)
	first := make([]ID, 0, count)
	for i := range count {
		first = append(first, ID(fmt.Sprintf("n%d", i+1)))
	}
	grows := r.IntN(2) == 0
	if grows {
		first = first[:1]
	}
	members, err := NewMembers(first...)
	if err != nil {
		return err
	}
	for i := range max(count, 1+r.IntN(5)) {
		n := &node{id: ID(fmt.Sprintf("n%d", i+1)), rate: 1 + drift*(2*r.Float64()-1), offset: time.Duration(r.Int64N(int64(1000 * time.Hour))),
			health: Health{Weight: r.IntN(4), Ready: r.IntN(4) > 0}}
		if i == 0 {
			n.health.Weight++
		}
		if members.Has(n.id) {
			n.kept.Members = members
		}
		w.nodes = append(w.nodes, n)
		w.at(time.Duration(r.Int64N(int64(w.timing.Lease))), func() error { return w.start(n) })
	}
	w.weather()
	end := time.Duration(8+r.IntN(24)) * w.timing.Lease
	for t := time.Duration(0); t < end; t += time.Duration(r.Int64N(int64(w.timing.Lease))) {
		w.at(t, w.trouble)
	}
	w.at(end, w.heal)
	if err := w.run(end + 30*w.timing.Lease); err != nil {
		return err
	}
	return w.alive()
}

func (w *world) run(end time.Duration) error {
	for steps := 0; len(w.queue) > 0 && w.queue[0].at <= end; steps++ {
		if steps > 1_000_000 {
			return fmt.Errorf("at %s nothing moves on: a million steps", w.now)
		}
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		if err := e.do(); err != nil {
			return err
		}
	}
	return nil
}

// weather chooses how bad the network is.
func (w *world) weather() {
	w.loss, w.double, w.slow = 0, 0, 0
	switch w.random.IntN(4) {
	case 0:
		w.loss = 0.3 * w.random.Float64()
	case 1:
		w.slow = 0.5 * w.random.Float64()
	case 2:
		w.loss, w.slow, w.double = 0.2*w.random.Float64(), 0.3*w.random.Float64(), 0.3*w.random.Float64()
	}
}

func (w *world) start(n *node) error {
	if n.m != nil {
		return nil
	}
	first := !n.former
	if w.now-n.died > 5*w.timing.longest() && w.random.IntN(2) == 0 { // the node itself was booted anew
		n.booted, n.offset, first = w.now, time.Duration(w.random.Int64N(int64(time.Minute))), true
		n.open = min(n.open, w.now)
	}
	n.former, n.paused, n.queued = true, false, nil
	c := Config{Self: n.id, Start: w.random.Uint64(), Timing: w.timing, Kept: n.kept, Health: n.health, First: first, Admit: true,
		Preempt: w.random.IntN(4) == 0, Seed: w.random.Uint64(), Contacts: []ID{"n1", ""}}
	m, err := New(n.clock(w.now), c)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.id, err)
	}
	w.log("%s starts, first %v, members %s", n.id, first, n.kept.Members)
	n.m = m
	return w.apply(n, m.Tick(n.clock(w.now)))
}

// apply does what a machine says: fence, disk, messages, timer.
func (w *world) apply(n *node, o Output) error {
	for _, note := range o.Notes {
		w.log("%s %s", n.id, note)
	}
	if o.Lease.Held {
		until := n.real(o.Lease.Until)
		if until > w.now {
			if n.open <= w.now {
				w.owners++
			}
			n.open = until
			for _, other := range w.nodes {
				if other != n && other.open > w.now {
					return fmt.Errorf("at %s %s and %s both own, for another %s and %s", w.now, n.id, other.id, n.open-w.now, other.open-w.now)
				}
			}
		}
	} else {
		n.open = min(n.open, w.now)
	}
	if o.Keep != nil {
		n.kept = Kept{Members{o.Keep.Members.Version, slices.Clone(o.Keep.Members.In), slices.Clone(o.Keep.Members.Out)}, o.Keep.Floor}
		w.log("%s keeps %s %v floor %d", n.id, n.kept.Members, n.kept.Members.Version, n.kept.Floor)
	}
	if !w.calm && w.random.IntN(400) == 0 {
		w.crash(n) // before it could send
		return nil
	}
	for _, x := range o.Send {
		w.send(x)
	}
	n.tick++
	mine := n.tick
	if o.Next == Never {
		return nil
	}
	w.at(max(0, n.real(o.Next)-w.now)+time.Microsecond, func() error {
		if n.m == nil || n.paused || n.tick != mine {
			return nil
		}
		return w.apply(n, n.m.Tick(n.clock(w.now)))
	})
	return nil
}

func (w *world) send(x Message) {
	for _, n := range w.nodes {
		if n.id == x.To || x.To == "" && n.open > w.now && n.id != x.From.ID {
			copies := 1
			if w.random.Float64() < w.double {
				copies++
			}
			for range copies {
				w.carry(n, x)
			}
		}
	}
}

func (w *world) carry(to *node, x Message) {
	if w.cut[[2]ID{x.From.ID, to.id}] || w.random.Float64() < w.loss {
		return
	}
	delay := time.Duration(100+w.random.IntN(2000)) * time.Microsecond
	if w.random.Float64() < w.slow {
		delay = time.Duration(w.random.Int64N(int64(3 * w.timing.Lease)))
	}
	w.at(delay, func() error { return w.deliver(to, x) })
}

func (w *world) deliver(to *node, x Message) error {
	switch {
	case to.m == nil:
		return nil
	case to.paused:
		to.queued = append(to.queued, x)
		return nil
	}
	return w.apply(to, to.m.Receive(to.clock(w.now), x))
}

// trouble does one thing that goes wrong, or that somebody wants.
func (w *world) trouble() error {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	other := w.nodes[w.random.IntN(len(w.nodes))]
	some := time.Duration(w.random.Int64N(int64(3 * w.timing.Lease)))
	what := w.random.IntN(12)
	if w.reshaping && w.random.IntN(2) == 0 {
		what = 9
	}
	switch what {
	case 0, 1:
		w.cut[[2]ID{n.id, other.id}] = true
		w.at(some, func() error { delete(w.cut, [2]ID{n.id, other.id}); return nil })
	case 2:
		for _, o := range w.nodes { // alone
			w.cut[[2]ID{n.id, o.id}], w.cut[[2]ID{o.id, n.id}] = true, true
		}
		w.at(some, func() error { clear(w.cut); return nil })
	case 3, 4:
		return w.pause(n, some)
	case 5, 6:
		w.crash(n)
		w.at(some*2, func() error { return w.start(n) })
	case 7:
		if n.m != nil && !n.paused {
			n.health = Health{Weight: w.random.IntN(3), Ready: w.random.IntN(3) > 0}
			return w.apply(n, n.m.SetHealth(n.clock(w.now), n.health))
		}
	case 8:
		if n.m != nil && !n.paused {
			o, err := n.m.Handover(n.clock(w.now), "")
			if err == nil {
				w.log("%s is told to hand over", n.id)
			}
			return w.apply(n, o)
		}
	case 9:
		return w.reshape()
	case 10:
		if n.m != nil && !n.paused {
			w.log("%s ends on purpose", n.id)
			if err := w.apply(n, n.m.Stop(n.clock(w.now))); err != nil {
				return err
			}
			w.crash(n)
			w.at(some, func() error { return w.start(n) })
		}
	case 11:
		w.weather()
	}
	return nil
}

// reshape makes whoever owns take some nodes in and leave some out.
func (w *world) reshape() error {
	var add, remove []ID
	for _, n := range w.nodes {
		switch w.random.IntN(3) {
		case 0:
			add = append(add, n.id)
		case 1:
			remove = append(remove, n.id)
		}
	}
	for _, n := range w.nodes {
		if n.m == nil || n.paused || n.open <= w.now {
			continue
		}
		o, err := n.m.Change(n.clock(w.now), add, remove)
		if err == nil {
			w.log("%s is told to change members: +%v -%v", n.id, add, remove)
		}
		if err := w.apply(n, o); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) pause(n *node, d time.Duration) error {
	if n.m == nil || n.paused {
		return nil
	}
	w.log("%s stands still for %s", n.id, d)
	n.paused = true
	m := n.m
	w.at(d, func() error {
		if n.m != m || !n.paused {
			return nil
		}
		return w.resume(n)
	})
	return nil
}

func (w *world) resume(n *node) error {
	w.log("%s goes on", n.id)
	n.paused = false
	queued := n.queued
	n.queued = nil
	for _, x := range queued {
		if n.m == nil {
			return nil
		}
		if err := w.apply(n, n.m.Receive(n.clock(w.now), x)); err != nil {
			return err
		}
	}
	if n.m == nil {
		return nil
	}
	return w.apply(n, n.m.Tick(n.clock(w.now)))
}

// crash ends the process; the fence stays as it is.
func (w *world) crash(n *node) {
	if n.m == nil {
		return
	}
	w.log("%s dies", n.id)
	n.m, n.died = nil, w.now
	w.at(time.Duration(w.random.Int64N(int64(4*w.timing.Lease))), func() error { return w.start(n) })
}

// heal makes everything well, for the rest of the time.
func (w *world) heal() error {
	w.log("all is well from now on")
	w.loss, w.double, w.slow, w.calm = 0, 0, 0, true
	clear(w.cut)
	for _, n := range w.nodes {
		n.health = Health{Weight: 1, Ready: true}
		if n.paused {
			if err := w.resume(n); err != nil {
				return err
			}
		}
		if err := w.start(n); err != nil {
			return err
		}
		if err := w.apply(n, n.m.SetHealth(n.clock(w.now), n.health)); err != nil {
			return err
		}
	}
	return nil
}

// alive demands an owner, and one list that all its members have.
func (w *world) alive() error {
	var owner *node
	var lists []string
	for _, n := range w.nodes {
		if n.open > w.now {
			owner = n
		}
		lists = append(lists, fmt.Sprintf("%s: %s %v", n.id, n.m.Members, n.m.Members.Version))
	}
	if owner == nil {
		return fmt.Errorf("nobody owns although all has been well for %s; %s", 30*w.timing.Lease, strings.Join(lists, "; "))
	}
	for _, n := range w.nodes {
		if owner.m.Members.Has(n.id) && !n.m.Members.Equal(owner.m.Members) {
			return fmt.Errorf("%s has not the list of the owner %s; %s", n.id, owner.id, strings.Join(lists, "; "))
		}
	}
	return nil
}
