package plan

import "time"

// Network is a Network that nodes reach by a port group.
type Network struct {
	Name string
	// Most is how many nodes may have it, 0 for any number.
	Most int
	// Idle is how long a card stays that no Pod uses.
	Idle time.Duration
}

// Card is a card that a node was given, as its NodeNetwork says.
type Card struct {
	Network, MAC string
	// Leaving is set when it is to be taken away: from then on the node does not have the network.
	Leaving bool
	// Stray cards are where their Network is no more: its port group was changed. They go when no Pod uses them, and another comes then.
	Stray bool
	// Kept cards were the machine's before; they are not taken away.
	Kept bool
}

// Node is a node that could be given cards.
type Node struct {
	Name string
	// Usable nodes take new Pods and are virtual machines of the vCenter.
	Usable bool
	// Has are the networks that the scheduler takes it to have.
	Has map[string]bool
	// Cards are those that it was given.
	Cards []Card
	// Loose are networks for which the machine has a card of ours that is not written down: a controller ended between the two. Nil is none, or
	// not looked at.
	Loose []string
	// Pods counts those on the node that select a network. It is nil when they were not counted.
	Pods map[string]int
}

// Pod is one that no node has taken, with the networks that it needs of a node.
type Pod struct {
	Name     string
	Networks []string
	// On are the nodes that would take it if they had its networks; nil for all.
	On map[string]bool
}

// World is what is there.
type World struct {
	Now      time.Time
	Networks []Network
	Nodes    []Node
	Waiting  []Pod
}

// Verb is what is done.
type Verb string

const (
	// Give adds a card, or finds the one that is there, and writes it down.
	Give Verb = "give"
	// Leave marks a card as leaving.
	Leave Verb = "leave"
	// Stay takes the mark away.
	Stay Verb = "stay"
	// Take removes a card that is leaving, then what is written of it. The Pods of the node are counted once more before.
	Take Verb = "take"
	// Count counts the Pods of a node.
	Count Verb = "count"
)

// Step is one thing to do for a node. Steps for different nodes may be done at the same time.
type Step struct {
	Do            Verb
	Node, Network string
	// For is the Pod that a card is given for, "" when it is for none.
	For string
}

func (n Node) card(network string) (Card, bool) {
	for _, c := range n.Cards {
		if c.Network == network {
			return c, true
		}
	}
	return Card{}, false
}

// takes tells whether a node would take the Pod if it had its networks.
func (p Pod) takes(n Node) bool { return p.On == nil || p.On[n.Name] }

// will tells whether a node has, or is about to have, a network.
func (n Node) will(network string) bool {
	c, given := n.card(network)
	gone := given && (c.Leaving || c.Stray)
	return n.Has[network] && !gone || given && !gone
}
