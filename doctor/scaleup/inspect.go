package scaleup

// GroupProblems are the rules that one group breaks, whatever Pod waits.
type GroupProblems struct {
	Group    Group
	Problems []Problem
	// Seen: the autoscaler has the group in its list.
	Seen bool
}

// Managed tells whether somebody wants the autoscaler to scale a group: it has one of the two sizes.
func (g Group) Managed() bool {
	_, low := g.Annotations[keyMin]
	_, high := g.Annotations[keyMax]
	return low || high
}

// Inspect finds what is wrong with every group, in the order of their names.
func Inspect(c *Cluster) (all []GroupProblems) {
	v := c.Autoscaler.Version
	if v == (Version{}) {
		v = Newest
	}
	stopped := false
	for _, g := range sorted(c.Groups) {
		one, _, stops := c.examine(g, v)
		stopped = stopped || stops
		all = append(all, GroupProblems{g, one.Problems, one.Seen})
	}
	for i := range all {
		all[i].Seen = all[i].Seen && !stopped
	}
	return all
}
