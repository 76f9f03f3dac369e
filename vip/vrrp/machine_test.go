package vrrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const interval = 100 * time.Millisecond

// node is a machine that may be stopped; what it is sent meanwhile is lost.
type node struct {
	*Machine
	stopped Instant // until then
	next    Instant
}

// world steps by a millisecond, which is also what a packet takes.
type world struct {
	t     *rapid.T
	nodes []*node
	now   Instant
	way   []packet
	none  time.Duration // nobody owned for
}

type packet struct {
	Advertisement
	from *node
}

func (w *world) do(n *node, o Output) {
	n.next = o.Next
	if o.Send != nil {
		w.way = append(w.way, packet{*o.Send, n})
	}
}

func (w *world) step() {
	w.now += Instant(time.Millisecond)
	arrived := w.way
	w.way = nil
	owners := 0
	for _, n := range w.nodes {
		if w.now >= n.stopped {
			for _, p := range arrived {
				if p.from != n {
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
		}
	}
	if owners > 1 {
		w.t.Fatalf("%v: %d owners", time.Duration(w.now), owners)
	}
	if owners == 1 || len(w.way) > 0 {
		w.none = 0
	} else {
		w.none += time.Millisecond
	}
}

func TestOneOwnerThoughNodesStopAndLeave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t}
		preempt := rapid.Bool().Draw(t, "preempt")
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
				}
				n.stopped = w.now.add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "stopped")) * time.Millisecond)
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
		if preempt && !w.nodes[2].Owner(w.now) {
			t.Fatal("the node of most priority is there and does not own")
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
		{"the owner's interval is learned", 3, interval, Advertisement{3, 1, 90, time.Second, nil}, 3*time.Second + 156*time.Second/256},
		{"an owner that leaves", 3, interval, Advertisement{3, 1, Leaving, interval, nil}, skew},
		{"version 2 counts in seconds", 2, time.Second, Advertisement{2, 1, 90, time.Second, nil}, 3*time.Second + 156*time.Second/256},
	} {
		config := mine
		config.Version, config.Interval = c.version, c.own
		m, err := New(config, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, now := m.Hear(c.heard, other, 1).Next, Instant(0)
		for !m.Owner(now) {
			now = next
			next = m.Tick(now).Next
		}
		if got := time.Duration(now - 1); got != c.wait {
			t.Errorf("%s: it owns after %v, want %v", c.name, got, c.wait)
		}
		if until := m.Tick(now).Until; until.add(0) <= now || time.Duration(until-now) >= 3*c.own {
			t.Errorf("%s: owns for %v, others wait for %v", c.name, time.Duration(until-now), 3*c.own)
		}
	}
}
