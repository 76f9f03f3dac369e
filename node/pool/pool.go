package pool

import "time"

// Pool is a group of like machines whose number tsunagu may change.
type Pool struct {
	// Name says which it is.
	Name string
	// Networks are what its nodes have.
	Networks []string
	// Replicas is how many machines there are to be, Min and Max the bounds of it.
	Replicas, Min, Max int
	// Machines is how many there are, those included that are no nodes yet, and
	// those left out that are being deleted.
	Machines int
	// Ready is how many of their nodes have all of Networks, verified.
	Ready int
	// Still is for how long Replicas and Ready have been as they are, as far as it is known.
	Still time.Duration
	// Idle is how long a node of the pool is kept that nobody uses.
	Idle time.Duration
	// Nodes are those of its Machines.
	Nodes []Node
}

// Node is a machine of a pool that has become a node.
type Node struct {
	Name string
	// Busy: Pods are on it that are not of its own kind (DaemonSets' are).
	Busy bool
	// Unused is for how long it has not been busy, as far as it is known.
	Unused time.Duration
	// Leaving: it takes no Pods any more, because of Shrink. A node that
	// somebody else closed is not leaving.
	Leaving bool
	// Chosen: its machine is the one that goes when the pool gets smaller.
	Chosen bool
	// Closed: somebody else keeps Pods off it.
	Closed bool
}

// arriving tells whether a machine is on its way.
func (p Pool) arriving() bool { return p.Machines < p.Replicas || p.Ready < p.Replicas }

// spare is a node that takes Pods and has none: another one like it helps nobody.
func (p Pool) spare() string {
	for _, n := range p.Nodes {
		if !n.Busy && !n.Leaving && !n.Closed {
			return n.Name
		}
	}
	return ""
}
