package pool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// simulated is a cluster with one pool: its MachineDeployment, Cluster API
// that follows it, nodes, Pods, and a scheduler. What a controller remembers is
// apart, and lost in a crash.
type simulated struct {
	now      time.Duration
	replicas int
	max      int
	nodes    []*machine
	made     int
	waiting  int // Pods on no node
	refused  int // Pods that the scheduler tried, and found no node for
	backoff  int // rounds until the scheduler tries again
	late     bool
	assumed  *machine // the scheduler chose it, and binds a Pod to it whatever became of it
	lost     []string
	// remembered by the controller
	seen   [2]int
	still  time.Duration
	unused map[string]time.Duration
}

type machine struct {
	name                   string
	born                   time.Duration
	ready, leaving, chosen bool
	pods                   int
}

const boots, round = 90 * time.Second, 5 * time.Second

// capi makes the machines as many as they are to be; of those that go the chosen ones are first.
func (s *simulated) capi() {
	for len(s.nodes) < s.replicas {
		s.made++
		s.nodes = append(s.nodes, &machine{name: fmt.Sprint("n", s.made), born: s.now})
	}
	for s.now/round%3 == 0 && len(s.nodes) > s.replicas {
		i := max(0, slices.IndexFunc(s.nodes, func(m *machine) bool { return m.chosen }))
		if s.nodes[i].pods > 0 {
			s.lost = append(s.lost, s.nodes[i].name)
		}
		s.nodes = slices.Delete(s.nodes, i, i+1)
	}
}

// schedule puts Pods that wait onto nodes, two on each.
func (s *simulated) schedule() {
	if m := s.assumed; m != nil {
		m.pods++
		s.assumed = nil
	}
	for _, m := range s.nodes {
		m.ready = m.ready || s.now-m.born >= boots
	}
	if s.backoff > 0 {
		s.backoff--
		return
	}
	for _, m := range s.nodes {
		for m.ready && !m.leaving && m.pods < 2 && s.waiting > 0 {
			m.pods++
			s.waiting--
		}
	}
	if s.refused = s.waiting; s.refused > 0 {
		s.backoff = 2
	}
}

func (s *simulated) look() Pool {
	p := Pool{Name: "a", Networks: []string{"blue"}, Replicas: s.replicas, Machines: len(s.nodes), Max: s.max, Idle: time.Minute}
	for _, m := range s.nodes {
		if m.ready {
			p.Ready++
		}
		n := Node{Name: m.name, Busy: m.pods > 0, Leaving: m.leaving, Closed: m.leaving, Chosen: m.chosen}
		if since, ok := s.unused[m.name]; !ok || n.Busy {
			s.unused[m.name] = s.now
		} else {
			n.Unused = s.now - since
		}
		if m.ready {
			p.Nodes = append(p.Nodes, n)
		}
	}
	if is := [2]int{p.Replicas, p.Ready}; is != s.seen {
		s.seen, s.still = is, s.now
	}
	p.Still = s.now - s.still
	return p
}

func (s *simulated) crash() {
	s.seen, s.still, s.unused = [2]int{-1}, s.now, map[string]time.Duration{}
}

// act is a round of the controller, cut off after a number of calls.
func (s *simulated) act(calls int) {
	p := s.look()
	var demands []Demand
	for i := range min(s.refused, s.waiting) {
		demands = append(demands, Demand{fmt.Sprint(i), []string{"a"}})
	}
	grow, _ := Grow([]Pool{p}, demands)
	for _, g := range grow {
		if calls--; calls < 0 {
			return
		}
		s.replicas = g.To
	}
	step, ok := Shrink(p, len(demands) > 0)
	if calls--; !ok || calls < 0 || len(grow) > 0 {
		return
	}
	m := s.nodes[slices.IndexFunc(s.nodes, func(m *machine) bool { return m.name == step.Node })]
	switch step.Verb {
	case Close:
		m.leaving = true
		if s.late && s.waiting == 0 {
			s.late, s.assumed = false, m
		}
	case Choose:
		m.chosen = true
	case Lower:
		s.replicas = step.To
	case Reopen: // two calls: the machine first
		m.chosen = false
		if calls--; calls >= 0 {
			m.leaving = false
		}
	}
}

// Whatever comes when, and wherever the controller is killed: no machine with
// Pods goes, there are never more machines than Pods need, all Pods run in the
// end, and when they are gone the machines are too.
func TestPoolsFollowTheirPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &simulated{max: rapid.IntRange(1, 3).Draw(t, "max"), unused: map[string]time.Duration{}}
		most := 0
		pods := func() (n int) {
			for _, m := range s.nodes {
				n += m.pods
			}
			if s.assumed != nil {
				n++
			}
			return n + s.waiting
		}
		tick := func(calls int) {
			s.now += round
			s.act(calls)
			s.capi()
			s.schedule()
			most = max(most, pods())
			if need := (most + 1) / 2; s.replicas > need || s.replicas > s.max {
				t.Fatalf("%d machines for at most %d Pods", s.replicas, most)
			}
			if len(s.lost) > 0 {
				t.Fatalf("%v went with Pods on it", s.lost)
			}
		}
		for range rapid.IntRange(1, 120).Draw(t, "rounds") {
			switch rapid.SampledFrom([]string{"", "pod", "pod", "late", "end", "end", "kill"}).Draw(t, "event") {
			case "pod":
				if pods() < 2*s.max {
					s.waiting++
					s.backoff = rapid.IntRange(0, 2).Draw(t, "backoff")
				}
			case "late":
				s.late = true
			case "end":
				for _, m := range s.nodes {
					m.pods = 0
				}
			case "kill":
				tick(rapid.IntRange(0, 1).Draw(t, "calls"))
				s.crash()
				continue
			}
			for range rapid.SampledFrom([]int{1, 1, 1, 2, 5, 15, 25}).Draw(t, "quiet") {
				tick(9)
			}
		}
		for range 400 {
			tick(9)
		}
		s.late = false
		if s.waiting > 0 {
			t.Fatalf("%d Pods wait for ever; %+v", s.waiting, s.look())
		}
		for _, m := range s.nodes {
			m.pods = 0
		}
		for range 200 {
			tick(9)
		}
		if s.replicas > 0 {
			t.Fatalf("%d machines are kept for nobody: %+v", s.replicas, s.look())
		}
	})
}
