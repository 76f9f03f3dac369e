package vrrp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/planted"
)

const interval = 100 * time.Millisecond

// node is a machine that may be stopped; what it is sent meanwhile is lost.
type node struct {
	*Machine
	stopped lease.Instant // until then
	next    lease.Instant
	// It was stopped for longer than the others wait at least, and was not told since that somebody leaves: it must not own before mute.
	mute lease.Instant
}

// stop stops a node for a time. What it may do afterwards is told by VRRP's own numbers, not by the machine's.
func (n *node) stop(now lease.Instant, d time.Duration) {
	n.stopped = now.Add(d)
	if d >= 3*interval {
		n.mute = n.stopped.Add(3 * interval)
	}
}

// world steps by a millisecond, which is also what a packet takes.
type world struct {
	t     *rapid.T
	nodes []*node
	now   lease.Instant
	way   []packet
	none  time.Duration // nobody owned for
	both  time.Duration // several owned for
	awake time.Duration // and all of these had run for an interval, so that they were heard
}

// What VRRP with a fence gives. Nodes that run hear each other within an interval; the two milliseconds are a packet's way there and back. One that is
// stopped when another takes over owns for as long as its fence is open, and then until the next advertisement tells it.
const (
	mostAwake = 2 * time.Millisecond
	mostBoth  = 3*interval + interval/2
)

type packet struct {
	Advertisement
	from *node
}

func (w *world) do(n *node, o Output) {
	n.next = o.Next
	if o.Send != nil {
		w.way = append(w.way, packet{*o.Send, n})
		if len(w.way) > mostOnTheWay {
			w.t.Fatalf("%v: each packet is answered by more than one", time.Duration(w.now))
		}
	}
}

func (w *world) step() {
	w.now += lease.Instant(time.Millisecond)
	arrived := w.way
	w.way = nil
	owners, running := 0, true
	for _, n := range w.nodes {
		if w.now >= n.stopped {
			for _, p := range arrived {
				if p.from != n {
					if p.Priority == Leaving {
						n.mute = 0
					}
					w.do(n, n.Hear(p.Advertisement, p.from.Self, w.now))
				}
			}
			if w.now >= n.next {
				w.do(n, n.Tick(w.now))
			}
		}
	}
	for _, n := range w.nodes {
		// The fence's truth: it counts a stopped node as well. One that has just
		// been overruled has not heard of it yet.
		if n.Owner(w.now) && len(w.way) == 0 {
			owners++
			running = running && w.now >= n.stopped.Add(interval+mostAwake)
		}
		if n.Owner(w.now) && w.now >= n.stopped && w.now < n.mute {
			w.t.Fatalf("%v: %v owns, and was stopped until %v", time.Duration(w.now), n.Self, time.Duration(n.stopped))
		}
	}
	w.both, w.awake = grown(w.both, owners > 1), grown(w.awake, owners > 1 && running)
	if w.both > mostBoth || w.awake > mostAwake {
		w.t.Fatalf("%v: %d owners for %v, for %v of it all of them ran", time.Duration(w.now), owners, w.both, w.awake)
	}
	if owners == 1 || len(w.way) > 0 {
		w.none = 0
	} else {
		w.none += time.Millisecond
	}
}

// mostOnTheWay is more than three nodes have to say in a millisecond.
const mostOnTheWay = 50

// grown is a time that goes on, or is over.
func grown(d time.Duration, on bool) time.Duration {
	if on {
		return d + time.Millisecond
	}
	return 0
}

func TestOneOwnerThoughNodesStopAndLeave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t}
		preempt, health := rapid.Bool().Draw(t, "preempt"), rapid.Bool().Draw(t, "health")
		for i := range 3 {
			m, err := New(Config{Version: 3, Router: 1, Addresses: addresses("192.0.2.100"), Priority: uint8(100 + 50*i), Interval: interval,
				Self: netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1)), Preempt: preempt}, 0)
			if err != nil {
				t.Fatal(err)
			}
			w.nodes = append(w.nodes, &node{Machine: m})
		}
		for range rapid.IntRange(1, 15).Draw(t, "events") {
			n := w.nodes[rapid.IntRange(0, 2).Draw(t, "node")]
			if w.now >= n.stopped {
				if rapid.Bool().Draw(t, "leaves") {
					w.do(n, n.Leave(w.now))
					if n.Owner(w.now) {
						t.Fatal("it owns on after it has left")
					}
				}
				n.stop(w.now, time.Duration(rapid.IntRange(1, 1500).Draw(t, "stopped"))*time.Millisecond)
			}
			if health && rapid.Bool().Draw(t, "all") { // all turn, or one: an owner that does not serve is seldom else
				for _, n := range w.nodes {
					if w.now >= n.stopped {
						w.do(n, n.SetReady(w.now, false))
					}
				}
			}
			if health && w.now >= n.stopped {
				w.do(n, n.SetReady(w.now, n.unready))
			}
			for range rapid.IntRange(1, 1500).Draw(t, "then") {
				w.step()
			}
		}
		for range 2500 {
			w.step()
		}
		if w.none > 0 {
			t.Fatalf("nobody owns, for %v", w.none)
		}
		best := slices.MaxFunc(w.nodes, func(a, b *node) int { return cmp.Compare(a.priority(), b.priority()) })
		for _, n := range w.nodes {
			if n.Owner(w.now) && (preempt || n.unready) && n.priority() < best.priority() {
				t.Fatalf("%v owns with priority %d, and %v has %d", n.Self, n.priority(), best.Self, best.priority())
			}
		}
	})
}

func TestBackupsTakeOverAsVRRPTells(t *testing.T) {
	mine := Config{Version: 3, Router: 1, Addresses: addresses("192.0.2.100"), Priority: 100, Interval: interval, Self: netip.MustParseAddr("192.0.2.1")}
	other := netip.MustParseAddr("192.0.2.2")
	skew := interval * 156 / 256
	for _, c := range []struct {
		name    string
		version uint8
		own     time.Duration
		heard   Advertisement
		wait    time.Duration
	}{
		{"the owner's interval is learned", 3, interval, Advertisement{3, 1, 90, time.Second, nil, ""}, 3*time.Second + 156*time.Second/256},
		{"an owner that leaves", 3, interval, Advertisement{3, 1, Leaving, interval, nil, ""}, skew},
		{"version 2 counts in seconds", 2, time.Second, Advertisement{2, 1, 90, time.Second, nil, ""}, 3*time.Second + 156*time.Second/256},
	} {
		config := mine
		config.Version, config.Interval = c.version, c.own
		m, err := New(config, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, now := m.Hear(c.heard, other, 1).Next, lease.Instant(0)
		for !m.Owner(now) {
			now = next
			next = m.Tick(now).Next
		}
		if got := time.Duration(now - 1); got != c.wait {
			t.Errorf("%s: it owns after %v, want %v", c.name, got, c.wait)
		}
		if until := m.Tick(now).Until; until.Add(0) <= now || time.Duration(until-now) >= 3*c.own {
			t.Errorf("%s: owns for %v, others wait for %v", c.name, time.Duration(until-now), 3*c.own)
		}
	}
}

// An owner whose advertisements are not sent owns for as long as the others wait for the last one that was, and does not begin without one.
func TestOwnerThatCannotSpeak(t *testing.T) {
	m, err := New(Config{Version: 3, Router: 1, Addresses: addresses("192.0.2.100"), Priority: 100, Interval: interval, Self: netip.MustParseAddr("192.0.2.1")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	now, sent := lease.Instant(0), lease.Instant(-1)
	mute := true
	for step := range 40 {
		o := m.Tick(now)
		if o.Send != nil {
			if mute {
				o = m.Unsent(now)
			} else {
				sent = now
			}
		}
		if owns, may := m.Owner(now), sent >= 0 && now < sent.Add(5*interval/2); owns && !may || !mute && sent >= 0 && !owns {
			t.Fatalf("step %d, %v: owns %v, the last advertisement was at %v", step, time.Duration(now), owns, time.Duration(sent))
		}
		mute = step < 12 || step >= 26
		now = max(o.Next, now+1)
	}
	if sent < 0 || m.Owner(now) {
		t.Errorf("sent at %v, owns %v", sent, m.Owner(now))
	}
}

// What the schedules must find.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range []planted.Bug{
		{Name: "an owner that was stopped owns on", File: "machine.go", Change: []string{"if m.owner && now >= m.until {", "if false {"}},
		{Name: "a backup that was stopped takes over", File: "machine.go", Change: []string{"if !m.owner && now > m.due.Add(m.active/2) {", "if false {"}},
		{Name: "owns for as long as the others wait", File: "machine.go", Change: []string{"3*m.Interval - m.Interval/2", "4 * m.Interval"}},
		{Name: "owns at once when it starts", File: "machine.go", Change: []string{"	m.backup(now, c.Interval)\n	m.output", "	m.backup(now, 0)\n	m.output"}},
		{Name: "nobody gives way", File: "machine.go", Change: []string{"a.Priority > mine ||", "false ||"}},
		{Name: "an owner that does not serve stays", File: "machine.go", Change: []string{"	case a.Priority == Unready && mine > Unready:\n", ""}},
		{Name: "leaves and owns on", File: "machine.go", Change: []string{"	was := m.owner && now < m.until\n	m.backup(now, m.Interval)", "	was := m.owner && now < m.until"}},
	} {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			if _, found := bug.Run(t, "TestOneOwnerThoughNodesStopAndLeave", "-rapid.checks=5000", "-rapid.nofailfile", "-rapid.shrinktime=1s"); !found {
				t.Error("no schedule finds it")
			}
		})
	}
}
