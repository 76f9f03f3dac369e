package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Startup is how long a machine may take until its networks are verified. After
// that its pool is passed over for another.
const Startup = 10 * time.Minute

// Settle is how long a pool's new node may take Pods before another is thought
// of: the scheduler backs off for up to ten seconds.
const Settle = 20 * time.Second

// Demand is a Pod that no node takes, and the pools whose nodes would.
type Demand struct {
	Pod   string
	Pools []string
}

// Growth gives a pool one machine more.
type Growth struct {
	Pool     string
	From, To int
	// Pods are those for which it is done.
	Pods []string
}

// Grow says which pools get a machine: at most one each, and none while one is
// on its way, so that asking twice never makes two. Among the pools that would
// do the one with the fewest networks is taken, then the one with the fewest
// machines, which spreads pools of one set over their hosts. Waits says of each
// Pod that gets nothing new what it waits for.
func Grow(pools []Pool, demands []Demand) (grow []Growth, waits map[string]string) {
	byName := map[string]Pool{}
	for _, p := range pools {
		byName[p.Name] = p
	}
	waits = map[string]string{}
	for _, d := range slices.SortedFunc(slices.Values(demands), func(a, b Demand) int { return cmp.Compare(a.Pod, b.Pod) }) {
		var could []Pool
		var why []string
		served := ""
		for _, name := range d.Pools {
			p, ok := byName[name]
			if !ok {
				continue
			}
			switch text, helps := p.state(); {
			case helps && served == "":
				served = text
			case text != "":
				why = append(why, text)
			default:
				could = append(could, p)
			}
		}
		switch {
		case served != "":
			waits[d.Pod] = served
		case len(could) == 0:
			waits[d.Pod] = strings.Join(why, "; ")
		default:
			grow = enlarge(grow, could, d.Pod)
		}
	}
	return grow, waits
}

// enlarge adds a Pod to a growth that will do for it, or makes one.
func enlarge(grow []Growth, could []Pool, pod string) []Growth {
	for i, g := range grow {
		if slices.ContainsFunc(could, func(p Pool) bool { return p.Name == g.Pool }) {
			grow[i].Pods = append(g.Pods, pod)
			return grow
		}
	}
	p := slices.MinFunc(could, func(a, b Pool) int {
		return cmp.Or(cmp.Compare(len(a.Networks), len(b.Networks)), cmp.Compare(a.Replicas, b.Replicas), cmp.Compare(a.Name, b.Name))
	})
	return append(grow, Growth{p.Name, p.Replicas, p.Replicas + 1, []string{pod}})
}

// state says why a pool gets no machine now; helps, that its Pods should wait
// for what it is doing. Without a text it can have one.
func (p Pool) state() (text string, helps bool) {
	switch {
	case p.arriving() && p.Still < Startup:
		return fmt.Sprintf("pool %s brings a node: %d of %d have %s", p.Name, p.Ready, p.Replicas, strings.Join(p.Networks, ",")), true
	case p.arriving():
		return fmt.Sprintf("pool %s has brought no node with %s for %s: %d of %d; look at its Machines", p.Name, strings.Join(p.Networks, ","), p.Still.Truncate(time.Minute), p.Ready, p.Replicas), false
	case p.Machines > p.Replicas:
		return fmt.Sprintf("pool %s is just getting smaller", p.Name), true
	case p.Ready > 0 && p.Still < Settle:
		return fmt.Sprintf("pool %s has just brought a node", p.Name), true
	case p.leaving() != nil:
		return fmt.Sprintf("pool %s is just giving a node up", p.Name), true
	case p.spare() != "":
		return fmt.Sprintf("pool %s has node %s without Pods, which does not take it either", p.Name, p.spare()), false
	case p.Replicas >= p.Max:
		return fmt.Sprintf("pool %s has %d of at most %d nodes", p.Name, p.Replicas, p.Max), false
	}
	return "", false
}
