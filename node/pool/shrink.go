package pool

import (
	"cmp"
	"slices"
)

// Verb is what is done to a node.
type Verb string

// The verbs, in the order in which a node goes. Each is safe to do twice.
const (
	// Close keeps new Pods off the node, and remembers that on the node.
	Close Verb = "Close"
	// Reopen takes all of it back.
	Reopen Verb = "Reopen"
	// Choose marks the machine as the one that goes.
	Choose Verb = "Choose"
	// Lower makes the pool one smaller.
	Lower Verb = "Lower"
)

// Step is one thing to do; afterwards everything is looked at anew.
type Step struct {
	Verb Verb
	Pool string
	Node string
	// To is the pool's new number, of Lower.
	To int
}

// Shrink says what is to be done next about a pool's nodes that nobody uses.
// One node goes at a time. A node is closed first; only when it was seen
// without Pods after that does its machine go, and when Pods came in between
// it is opened again. Wanted says that Pods wait for a node of the pool.
func Shrink(p Pool, wanted bool) (Step, bool) {
	if n := p.leaving(); n != nil {
		switch {
		case p.Machines > p.Replicas: // it is gone already, its machine only not yet
			return Step{}, false
		case p.Machines < p.Replicas || n.Busy || wanted || p.Replicas <= p.Min:
			return Step{Verb: Reopen, Pool: p.Name, Node: n.Name}, true
		case !n.Chosen:
			return Step{Verb: Choose, Pool: p.Name, Node: n.Name}, true
		}
		return Step{Verb: Lower, Pool: p.Name, Node: n.Name, To: p.Replicas - 1}, true
	}
	if wanted || p.Machines != p.Replicas || p.Replicas <= p.Min {
		return Step{}, false
	}
	var idle []Node
	for _, n := range p.Nodes {
		if !n.Busy && !n.Closed && n.Unused >= p.Idle {
			idle = append(idle, n)
		}
	}
	if len(idle) == 0 {
		return Step{}, false
	}
	n := slices.MinFunc(idle, func(a, b Node) int {
		return cmp.Or(-cmp.Compare(a.Unused, b.Unused), cmp.Compare(a.Name, b.Name))
	})
	return Step{Verb: Close, Pool: p.Name, Node: n.Name}, true
}

// leaving is the node that goes, nil without one.
func (p Pool) leaving() *Node {
	for i := range p.Nodes {
		if p.Nodes[i].Leaving {
			return &p.Nodes[i]
		}
	}
	return nil
}
