package doctor

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var notPlaced = Check{
	Code:  "TSU7201",
	Title: "Pod may be scheduled to a node without its network",
	Explain: `The controller adds a required node affinity to Pods that select a Network that not every node has, when they are created. A Pod that was created while it ` +
		`did not answer, or whose affinity was changed since, is scheduled anywhere. Terms of an affinity are alternatives: each needs the requirement.`,
	Needs: []Part{Pods, Definitions, Networks, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		where := s.placing()
		for i := range s.Pods {
			p := &s.Pods[i]
			if !waits(p) {
				continue
			}
			for _, n := range where.of(p) {
				ready := where.ready[n.Name]
				lacks := lacking(p, n.Name)
				if len(ready) == len(s.Nodes) || lacks == "" {
					continue
				}
				found = append(found, Finding{Severity: Warning, Object: podObject(p),
					Cause:  fmt.Sprintf("Network %s is on %s of %d, and %s", n.Name, plural(len(ready), "node"), len(s.Nodes), lacks),
					Breaks: "on another node it stays in ContainerCreating",
					Fix:    "create the Pod again: kubectl delete pod; its workload makes it anew"})
			}
		}
		return found
	},
}

// lacking says what of a Pod's node affinity does not ask for a network, "" when all of it does.
func lacking(p *corev1.Pod, network string) string {
	key := v1alpha1.NetworkReadyPrefix + network
	if p.Spec.NodeSelector[key] == v1alpha1.NetworkReadyValue {
		return ""
	}
	var terms []corev1.NodeSelectorTerm
	if a := p.Spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		terms = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	var bad []string
	for i, t := range terms {
		if !slices.ContainsFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return r.Key == key }) {
			bad = append(bad, fmt.Sprint(i+1))
		}
	}
	switch {
	case len(terms) == 0:
		return "the Pod has no node affinity for it"
	case len(bad) > 0:
		return fmt.Sprintf("term %s of its node affinity does not ask for it", strings.Join(bad, ", "))
	}
	return ""
}
