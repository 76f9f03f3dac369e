package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// sim is a cluster on virtual machines in miniature: people make and delete Pods, a scheduler binds them by labels that it read a while ago, a
// node sees its cards late or never, the vCenter fails, and the controller dies between any two calls.
type sim struct {
	*rand.Rand
	now      time.Time
	networks []Network
	nodes    []*simNode
	pods     map[string]*simPod
	made     int
	planner  *Planner
	bug      string
	broken   []string
	taken    int
}

type simNode struct {
	name     string
	blind    bool                 // the guest never sees a new card
	machine  map[string]time.Time // its cards by owner, and since when: the truth of the vCenter
	spec     []Card               // what the NodeNetwork says
	labels   map[string]bool      // what the controller wrote
	believed map[string]bool      // what the scheduler read
	read     time.Time
}

type simPod struct {
	networks []string
	on       map[string]bool // nodes that would take it, nil for all
	node     string
	until    time.Time
}

func newSim(seed uint64, bug string) *sim {
	s := &sim{Rand: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_800_000_000, 0), pods: map[string]*simPod{}, bug: bug}
	for i := range 1 + s.IntN(3) {
		s.networks = append(s.networks, Network{Name: fmt.Sprintf("net%d", i), Most: s.IntN(3), Idle: time.Duration(s.IntN(30)) * time.Second})
	}
	for i := range 1 + s.IntN(4) {
		s.nodes = append(s.nodes, &simNode{name: fmt.Sprintf("n%d", i), blind: s.IntN(6) == 0, machine: map[string]time.Time{}, labels: map[string]bool{}, believed: map[string]bool{}})
	}
	s.begin()
	return s
}

// begin starts a controller that remembers nothing.
func (s *sim) begin() {
	if s.planner = New(); s.bug == "does not wait for the scheduler" {
		s.planner.settle = 0
	}
}

func (s *sim) say(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

func (s *sim) using(n *simNode, network string) int {
	count := 0
	for _, p := range s.pods {
		if p.node == n.name && slices.Contains(p.networks, network) {
			count++
		}
	}
	return count
}

// world is what the controller reads. Pods are counted only where asked for.
func (s *sim) world(counted map[string]bool) World {
	w := World{Now: s.now, Networks: s.networks}
	for _, n := range s.nodes {
		one := Node{Name: n.name, Usable: true, Has: map[string]bool{}, Cards: slices.Clone(n.spec)}
		for network := range n.labels {
			one.Has[network] = true
		}
		if s.bug != "forgets cards that are not written down" {
			for network := range n.machine {
				if _, written := one.card(network); !written {
					one.Loose = append(one.Loose, network)
				}
			}
			slices.Sort(one.Loose)
		}
		if counted[n.name] {
			one.Pods = map[string]int{}
			for _, net := range s.networks {
				one.Pods[net.Name] = s.using(n, net.Name)
			}
		}
		w.Nodes = append(w.Nodes, one)
	}
	for name, p := range s.pods {
		if p.node == "" {
			w.Waiting = append(w.Waiting, Pod{Name: name, Networks: p.networks, On: p.on})
		}
	}
	slices.SortFunc(w.Waiting, func(a, b Pod) int { return len(a.Name) - len(b.Name) })
	return w
}

func (s *sim) node(name string) *simNode {
	return s.nodes[slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.name == name })]
}

// dies is the end of the controller before its next call.
func (s *sim) dies() bool {
	if s.IntN(40) > 0 {
		return false
	}
	s.begin()
	return true
}

// control is one round of the controller.
func (s *sim) control() {
	counted := map[string]bool{}
	steps := s.planner.Next(s.world(counted))
	for _, st := range steps {
		if st.Do == Count {
			counted[st.Node] = true
		}
	}
	if len(counted) > 0 {
		steps = s.planner.Next(s.world(counted))
	}
	for _, st := range steps {
		n := s.node(st.Node)
		mark := func(leaving bool) {
			for i := range n.spec {
				if n.spec[i].Network == st.Network {
					n.spec[i].Leaving = leaving
				}
			}
		}
		if s.dies() {
			return
		}
		switch st.Do {
		case Give:
			if s.IntN(5) == 0 {
				s.planner.Failed(st, s.now, "vSphere says no", s.IntN(2) == 0)
				continue
			}
			if n.machine[st.Network].IsZero() { // the same owner's card is found again
				n.machine[st.Network] = s.now
			}
			if s.dies() {
				return
			}
			if !slices.ContainsFunc(n.spec, func(c Card) bool { return c.Network == st.Network }) {
				n.spec = append(n.spec, Card{Network: st.Network})
			}
		case Leave:
			mark(true)
		case Stay:
			mark(false)
		case Take:
			if s.using(n, st.Network) > 0 {
				mark(false)
				continue
			}
			if s.IntN(5) == 0 {
				s.planner.TakeFailed(st, s.now)
				continue
			}
			s.taken++
			delete(n.machine, st.Network)
			if s.dies() {
				return
			}
			n.spec = slices.DeleteFunc(n.spec, func(c Card) bool { return c.Network == st.Network })
		}
		s.planner.Done(st)
	}
}

// step is a second in which everybody else acts.
func (s *sim) step(quiet bool) {
	s.now = s.now.Add(time.Second)
	for _, n := range s.nodes {
		for _, net := range s.networks {
			i := slices.IndexFunc(n.spec, func(c Card) bool { return c.Network == net.Name && !c.Leaving })
			since := n.machine[net.Name]
			want := i >= 0 && !since.IsZero() && !n.blind && s.now.Sub(since) > 2*time.Second
			if want != n.labels[net.Name] && s.IntN(2) == 0 {
				if delete(n.labels, net.Name); want {
					n.labels[net.Name] = true
				}
			}
		}
		if s.IntN(4) == 0 || s.now.Sub(n.read) > 3*time.Second { // the scheduler's cache is at most that old
			n.believed = map[string]bool{}
			for k := range n.labels {
				n.believed[k] = true
			}
			n.read = s.now
		}
	}
	if !quiet && s.IntN(5) == 0 {
		p := &simPod{until: s.now.Add(time.Duration(s.IntN(40)) * time.Second)}
		for _, net := range s.networks {
			if s.IntN(2) == 0 {
				p.networks = append(p.networks, net.Name)
			}
		}
		if s.IntN(3) == 0 {
			p.on = map[string]bool{}
			for _, n := range s.nodes {
				p.on[n.name] = s.IntN(2) == 0
			}
		}
		s.made++
		s.pods[fmt.Sprint("pod", s.made)] = p
	}
	for name, p := range s.pods {
		if s.now.After(p.until) {
			delete(s.pods, name)
			continue
		}
		for _, n := range s.nodes {
			fits := p.node == "" && (p.on == nil || p.on[n.name])
			for _, net := range p.networks {
				fits = fits && n.believed[net]
			}
			if !fits {
				continue
			}
			p.node = n.name
			for _, net := range p.networks {
				if n.machine[net].IsZero() {
					s.say("%s came to %s, whose card of %s was taken", name, n.name, net)
				}
			}
		}
	}
}

func (s *sim) check() {
	for _, net := range s.networks {
		count := 0
		for _, n := range s.nodes {
			if !n.machine[net.Name].IsZero() {
				count++
			}
		}
		if net.Most > 0 && count > net.Most && s.bug == "" {
			s.say("%d nodes have %s, which may be on %d", count, net.Name, net.Most)
		}
	}
}

func (s *sim) run() {
	for range 600 {
		s.step(false)
		s.control()
		s.check()
	}
	// Nobody makes Pods any more: at last no machine has a card, and nothing is written of one.
	for range 1500 {
		s.step(true)
		s.control()
	}
	for _, n := range s.nodes {
		if len(n.machine)+len(n.spec) > 0 {
			s.say("%s keeps cards %v, written %v", n.name, n.machine, n.spec)
		}
	}
}

func TestSimulation(t *testing.T) {
	taken := 0
	for seed := range uint64(150) {
		s := newSim(seed, "")
		s.run()
		if taken += s.taken; len(s.broken) > 0 {
			t.Fatalf("seed %d: %v", seed, s.broken[0])
		}
	}
	if taken < 300 {
		t.Errorf("%d cards were taken: the simulation shows nothing", taken)
	}
}

// Without the wait for the scheduler a card is taken from a Pod that is on its way, and without the look at machines one is lost. The
// simulation sees both.
func TestSimulationFindsBugs(t *testing.T) {
	for _, bug := range []string{"does not wait for the scheduler", "forgets cards that are not written down"} {
		found := slices.ContainsFunc(slices.Collect(seeds(200)), func(seed uint64) bool {
			s := newSim(seed, bug)
			s.run()
			return len(s.broken) > 0
		})
		if !found {
			t.Errorf("no schedule shows a controller that %s", bug)
		}
	}
}

func seeds(n uint64) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// A node that does not find the network behind its card gives it back, and is left alone for a while: its Pods wait, another node is tried.
func TestBlindNodeIsLeftAlone(t *testing.T) {
	p, now := New(), time.Unix(1_800_000_000, 0)
	given := 0
	w := World{Networks: []Network{{Name: "blue", Idle: time.Hour}}, Waiting: []Pod{{Name: "a", Networks: []string{"blue"}}}, Nodes: []Node{{Name: "n1", Usable: true, Pods: map[string]int{}}}}
	for range 300 {
		w.Now, now = now, now.Add(time.Second)
		n := &w.Nodes[0]
		for _, s := range p.Next(w) {
			switch s.Do {
			case Give:
				given++
				n.Cards = []Card{{Network: "blue", MAC: "m"}}
			case Leave, Stay:
				n.Cards[0].Leaving = s.Do == Leave
			case Take:
				n.Cards = nil
			}
			p.Done(s)
		}
	}
	if given != 1 || len(w.Nodes[0].Cards) != 0 {
		t.Errorf("in five minutes it was given %d cards, and has %v", given, w.Nodes[0].Cards)
	}
	if text := p.Trouble("blue")["n1"]; text == "" {
		t.Error("nothing is said of it")
	}
}
