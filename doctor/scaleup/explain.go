package scaleup

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Verdict is what the autoscaler makes of one Pod.
type Verdict struct {
	Pod string `json:"pod"`
	// Scales names the groups that it may add a node to; it chooses one of them. None: it adds no node.
	Scales []string `json:"scales"`
	// Problems are those of the Pod and of the autoscaler itself.
	Problems []Problem      `json:"problems"`
	Groups   []GroupVerdict `json:"groups"`
	// Considered is how many groups the autoscaler asks for this Pod: the sum of the numbers in its event NotTriggerScaleUp.
	Considered int `json:"considered"`
	// Autoscaler is the version whose rules were applied, Assumed that it is not known which one runs.
	Autoscaler string `json:"autoscaler"`
	Assumed    bool   `json:"assumed"`
}

// GroupVerdict is what the autoscaler makes of a group for that Pod.
type GroupVerdict struct {
	Group    string `json:"group"`
	Replicas int    `json:"replicas"`
	Min      int    `json:"min"`
	Max      int    `json:"max"`
	// Seen: the autoscaler has the group in its list.
	Seen bool `json:"seen"`
	// Fits: the Pod would fit a new node of it.
	Fits bool `json:"fits"`
	// Node is what a new node would be, and Source what that is taken from; empty for a group that is not seen.
	Node     *NodeView `json:"node,omitempty"`
	Problems []Problem `json:"problems"`
}

// NodeView is the imagined node, as far as predicates look at it.
type NodeView struct {
	Source   Source              `json:"source"`
	Of       string              `json:"of,omitempty"`
	Labels   map[string]string   `json:"labels"`
	Taints   []corev1.Taint      `json:"taints,omitempty"`
	Capacity corev1.ResourceList `json:"capacity"`
}

// Explain says for every group whether the autoscaler would add a node of it for a Pod that waits, and what stands in the way.
func Explain(c *Cluster, pod *corev1.Pod) Verdict {
	v := c.Autoscaler.Version
	if v == (Version{}) {
		v = Newest
	}
	verdict := Verdict{Pod: pod.Namespace + "/" + pod.Name, Scales: []string{}, Problems: waits(pod), Groups: []GroupVerdict{}, Autoscaler: v.String(),
		Assumed: c.Autoscaler.Assumed || c.Autoscaler.Version == Version{}}
	stopped := false
	for _, g := range sorted(c.Groups) {
		one, all := c.judge(g, pod, v)
		stopped = stopped || all
		verdict.Groups = append(verdict.Groups, one)
	}
	for i := range verdict.Groups {
		g := &verdict.Groups[i]
		if stopped {
			g.Seen = false
		}
		if !g.Seen {
			g.Fits = false
			continue
		}
		verdict.Considered++
		if g.Fits && len(verdict.Problems) == 0 {
			verdict.Scales = append(verdict.Scales, g.Group)
		}
	}
	return verdict
}

// waits says why the autoscaler does not look at a Pod at all.
func waits(pod *corev1.Pod) (problems []Problem) {
	problems = []Problem{}
	for _, gate := range pod.Spec.SchedulingGates {
		problems = append(problems, Problem{CodeGated, Keeps, "spec.schedulingGates", gate.Name,
			"the autoscaler does not see a Pod that has a gate: who put it there takes it off first", "look at the Events of the Pod for who holds it"})
	}
	if pod.Spec.NodeName != "" {
		problems = append(problems, Problem{CodeGated, Keeps, "spec.nodeName", pod.Spec.NodeName, "the Pod has a node", "nothing is to be done"})
	}
	return problems
}

// judge makes the verdict on one group; stops tells that the autoscaler stops for all of them.
func (c *Cluster) judge(g Group, pod *corev1.Pod, v Version) (one GroupVerdict, stops bool) {
	one, p, stops := c.examine(g, v)
	if p.node == nil {
		return one, stops
	}
	one.Node = &NodeView{Source: p.source, Of: p.of, Labels: p.node.Labels, Taints: p.node.Spec.Taints, Capacity: p.node.Status.Allocatable}
	one.Problems = append(one.Problems, c.fits(pod, g, p)...)
	if one.Max > 0 && g.Replicas >= one.Max {
		one.Problems = append(one.Problems, Problem{CodeFull, Keeps, keyMax, g.Annotations[keyMax], fmt.Sprintf("the group has %d of at most %d nodes", g.Replicas, one.Max), "raise max-size"})
	}
	one.Fits = true
	for _, problem := range one.Problems {
		if problem.Effect == Keeps {
			one.Fits = false
		}
	}
	return one, stops
}

// examine says what is wrong with a group for whatever Pod, and what a new node of it is imagined to be.
func (c *Cluster) examine(g Group, v Version) (one GroupVerdict, p picture, stops bool) {
	one = GroupVerdict{Group: g.String(), Replicas: g.Replicas, Problems: []Problem{}}
	one.Problems = append(one.Problems, Autoscaler{Version: v, Args: c.Autoscaler.Args}.discovered(g)...)
	excluded := len(one.Problems) > 0
	b := readBounds(g, v)
	one.Min, one.Max = b.min, b.max
	one.Problems = append(one.Problems, b.problems...)
	one.Problems = append(one.Problems, c.denied(g)...)
	p = c.imagine(g, v)
	one.Problems = append(one.Problems, p.problems...)
	one.Seen = p.node != nil
	for _, problem := range one.Problems {
		if problem.drops() {
			one.Seen = false
		}
		stops = stops || problem.Effect == StopsAll && !excluded
	}
	return one, p, stops
}

// denied tells of rights on the infrastructure template that the autoscaler lacks: it then waits for ever for a list that never comes.
func (c *Cluster) denied(g Group) []Problem {
	var problems []Problem
	for _, verb := range c.Autoscaler.Denied[g.Infra.Kind] {
		problems = append(problems, Problem{CodeNoRight, StopsAll, verb, g.Infra.Kind,
			fmt.Sprintf("the autoscaler may not %s %s: its main loop waits for ever, for all groups, and logs only \"failed to list\" of a reflector", verb, g.Infra.Kind),
			fmt.Sprintf("give its ServiceAccount get, list and watch on %s of group %s in namespace %s", g.Infra.Kind, g.Infra.Group, g.Infra.Namespace)})
	}
	return problems
}
