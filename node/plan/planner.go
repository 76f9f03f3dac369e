package plan

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// settle is how long after the node ceased to have the network a card stays: a scheduler may act on what it read before.
	settle = 5 * time.Second
	// seen is how long a node may take until it has the network that a card was given for.
	seen = time.Minute
	// countEvery is how often the Pods of a card are counted at least.
	countEvery = 30 * time.Second
	// first and last are the pauses after failures that time may heal; forbidden is that after others, when another node is tried.
	first, last = 2 * time.Second, 5 * time.Minute
	forbidden   = 10 * time.Minute
)

// at is a network on a node.
type at struct{ node, network string }

// Planner remembers what only time tells: how long something has been so, and what failed. Losing it costs time and nothing else.
type Planner struct {
	idle, gone, given, counted map[at]time.Time
	failures                   map[at]failure
	settle                     time.Duration
}

type failure struct {
	times int
	until time.Time
	text  string
}

// New makes a Planner that remembers nothing.
func New() *Planner {
	return &Planner{idle: map[at]time.Time{}, gone: map[at]time.Time{}, given: map[at]time.Time{}, counted: map[at]time.Time{}, failures: map[at]failure{}, settle: settle}
}

// Next gives what to do now. Each node has at most one step for a network.
func (p *Planner) Next(w World) []Step {
	p.forget(w)
	r := newRound(w)
	r.do(p.cards(w)...)
	for _, pod := range w.Waiting {
		r.do(p.bring(r, pod)...)
	}
	return r.steps
}

// Failed says that a step failed. Passes tells whether time may heal it.
func (p *Planner) Failed(s Step, now time.Time, text string, passes bool) {
	k := at{s.Node, s.Network}
	f := p.failures[k]
	f.times++
	f.text = text
	pause := min(first<<min(f.times-1, 10), last)
	if !passes {
		pause = forbidden
	}
	f.until = now.Add(pause)
	p.failures[k] = f
}

// Done says that a step succeeded. That a card is marked, or taken from a node that did not find the network behind it, heals nothing.
func (p *Planner) Done(s Step) {
	k := at{s.Node, s.Network}
	if s.Do == Give || s.Do == Take && p.failures[k].text == takeFailed {
		delete(p.failures, k)
	}
}

// Trouble is what failed last for a network, node by node.
func (p *Planner) Trouble(network string) map[string]string {
	out := map[string]string{}
	for k, f := range p.failures {
		if k.network == network {
			out[k.node] = f.text
		}
	}
	return out
}

// forget drops what is remembered of nodes and cards that are gone.
func (p *Planner) forget(w World) {
	there := map[at]bool{}
	nodes := map[string]bool{}
	for _, n := range w.Nodes {
		nodes[n.Name] = true
		for _, c := range n.Cards {
			there[at{n.Name, c.Network}] = true
		}
	}
	for _, memory := range []map[at]time.Time{p.idle, p.gone, p.given, p.counted} {
		maps.DeleteFunc(memory, func(k at, _ time.Time) bool { return !there[k] })
	}
	maps.DeleteFunc(p.failures, func(k at, f failure) bool { return !nodes[k.node] || w.Now.Sub(f.until) > forbidden })
}

// since tells how long something has been so, from when it was first seen.
func since(memory map[at]time.Time, k at, now time.Time) time.Duration {
	if memory[k].IsZero() {
		memory[k] = now
	}
	return now.Sub(memory[k])
}

// cards looks after the cards that are there.
func (p *Planner) cards(w World) []Step {
	var steps []Step
	for _, n := range w.Nodes {
		for _, network := range n.Loose {
			if _, given := n.card(network); !given && !w.Now.Before(p.failures[at{n.Name, network}].until) {
				steps = append(steps, Step{Do: Give, Node: n.Name, Network: network})
			}
		}
		for _, c := range n.Cards {
			if do := p.card(w, n, c); do != "" {
				steps = append(steps, Step{Do: do, Node: n.Name, Network: c.Network})
			}
		}
	}
	return steps
}

func (p *Planner) card(w World, n Node, c Card) Verb {
	k := at{n.Name, c.Network}
	wanted := slices.ContainsFunc(w.Waiting, func(pod Pod) bool { return slices.Contains(pod.Networks, c.Network) && pod.takes(n) })
	if c.Kept {
		return ""
	}
	if c.Leaving {
		return p.leaving(w, n, k, wanted)
	}
	delete(p.gone, k)
	network, known := find(w.Networks, c.Network)
	if !known || c.Stray {
		return p.unless(n, c.Network, Leave)
	}
	if !n.Has[c.Network] {
		delete(p.idle, k)
		// The guest does not see it, or the network is not behind it. Pods that use it keep it.
		if since(p.given, k, w.Now) < seen {
			return ""
		}
		if p.failures[k].until.Before(w.Now) {
			p.Failed(Step{Do: Give, Node: n.Name, Network: c.Network}, w.Now, "the node did not find the network behind the card that it was given", false)
		}
		return p.unless(n, c.Network, Leave)
	}
	delete(p.given, k)
	return p.unused(w, n, k, network, wanted)
}

// unused counts the Pods that use a card now and then, and lets it go when there were none for long enough.
func (p *Planner) unused(w World, n Node, k at, network Network, wanted bool) Verb {
	if wanted || n.Pods[network.Name] > 0 {
		delete(p.idle, k)
		return ""
	}
	if n.Pods == nil {
		if w.Now.Sub(p.counted[k]) < min(network.Idle/4, countEvery) {
			return ""
		}
		return Count
	}
	p.counted[k] = w.Now
	if since(p.idle, k, w.Now) < network.Idle {
		return ""
	}
	return Leave
}

// unless counts first, and does nothing while Pods use the network.
func (p *Planner) unless(n Node, network string, do Verb) Verb {
	switch {
	case n.Pods == nil:
		return Count
	case n.Pods[network] > 0:
		return ""
	}
	return do
}

// leaving waits until no Pod can come any more, and takes the card if none came.
func (p *Planner) leaving(w World, n Node, k at, wanted bool) Verb {
	if n.Has[k.network] {
		delete(p.gone, k)
		return ""
	}
	c, _ := n.card(k.network)
	if _, known := find(w.Networks, k.network); known && !c.Stray && wanted && p.failures[k].until.Before(w.Now) && n.Usable {
		return Stay
	}
	if since(p.gone, k, w.Now) < p.settle || p.failures[k].times > 0 && p.failures[k].until.After(w.Now) && p.failures[k].text == takeFailed {
		return ""
	}
	switch {
	case n.Pods == nil:
		return Count
	case n.Pods[k.network] > 0:
		return Stay
	}
	return Take
}

// takeFailed marks failures of taking a card away, which are tried again after a pause; those of giving it do not keep it.
const takeFailed = "the card could not be removed"

// TakeFailed says that a card could not be taken away.
func (p *Planner) TakeFailed(s Step, now time.Time) { p.Failed(s, now, takeFailed, true) }

// bring gives one node the cards that a Pod waits for, unless some node has, or is about to have, all its networks.
func (p *Planner) bring(r *round, pod Pod) []Step {
	var best []Step
	var cheapest, crowd int
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if !n.Usable || !pod.takes(*n) {
			continue
		}
		steps, fits := p.missing(r, n, pod)
		if !fits {
			continue
		}
		if len(steps) == 0 {
			return nil
		}
		if c := len(n.Cards); best == nil || cmp.Or(cmp.Compare(len(steps), cheapest), cmp.Compare(c, crowd)) < 0 {
			best, cheapest, crowd = steps, len(steps), c
		}
	}
	return best
}

// missing is what a node would have to be given for a Pod, false when it cannot be.
func (p *Planner) missing(r *round, n *Node, pod Pod) (steps []Step, fits bool) {
	for _, name := range pod.Networks {
		k := at{n.Name, name}
		if n.will(name) || r.coming[k] {
			continue
		}
		network, ours := r.networks[name]
		_, given := n.card(name)
		if !ours || given || r.Now.Before(p.failures[k].until) || network.Most > 0 && r.holders[name] >= network.Most {
			return nil, false
		}
		steps = append(steps, Step{Give, n.Name, name, pod.Name})
	}
	return steps, true
}

func find(all []Network, name string) (Network, bool) {
	i := slices.IndexFunc(all, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return Network{}, false
	}
	return all[i], true
}
