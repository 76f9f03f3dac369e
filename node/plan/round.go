package plan

import "slices"

// round is a World with what was decided for it so far, so that nobody has to go through all of either to learn of a network or a node.
type round struct {
	World
	steps    []Step
	networks map[string]Network
	// coming are networks that nodes are about to have by a step, holders is on how many nodes a network is, or is about to be.
	coming  map[at]bool
	holders map[string]int
}

func newRound(w World) *round {
	r := &round{World: w, networks: map[string]Network{}, coming: map[at]bool{}, holders: map[string]int{}}
	for _, n := range w.Networks {
		r.networks[n.Name] = n
	}
	for _, n := range w.Nodes {
		for _, name := range held(n) {
			r.holders[name]++
		}
	}
	return r
}

// held are the networks that a node has or is about to have, each once.
func held(n Node) (names []string) {
	names = slices.Clone(n.Loose)
	for name, has := range n.Has {
		if has {
			names = append(names, name)
		}
	}
	for _, c := range n.Cards {
		names = append(names, c.Network)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// do adds steps. A network that is given to a node which had it, or a card of it, is counted already.
func (r *round) do(steps ...Step) {
	for _, s := range steps {
		r.steps = append(r.steps, s)
		k := at{s.Node, s.Network}
		switch {
		case r.coming[k]:
		case s.Do == Stay:
			r.coming[k] = true
		case s.Do == Give:
			r.coming[k] = true
			if s.For != "" {
				r.holders[s.Network]++
			}
		}
	}
}
