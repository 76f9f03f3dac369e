package doctor

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// gateLong is for how long a gate may stay; the controller takes it away after two minutes.
const gateLong = 5 * time.Minute

var gated = Check{
	Code:  "TSU7206",
	Title: "Pod waits for a node that is brought onto its network",
	Explain: `With --scheduling-gates the controller keeps a Pod from the scheduler while a node is given a network card for it, and lets it go after two minutes whatever came ` +
		`of it. A gate that stays longer has nobody who takes it away.`,
	Needs: []Part{Pods, Definitions, Networks, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		where := s.placing()
		for i := range s.Pods {
			p := &s.Pods[i]
			ours := slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.NetworkGate })
			if !ours || p.DeletionTimestamp != nil || s.age(p) < gateLong {
				continue
			}
			cause := fmt.Sprintf("gate %s is %s old", v1alpha1.NetworkGate, s.age(p).Round(time.Minute))
			for _, n := range where.of(p) {
				for _, c := range n.Status.Conditions {
					if c.Type == "PortGroup" && c.Status == "False" {
						cause += fmt.Sprintf("; Network %s: %s", n.Name, c.Message)
					}
				}
			}
			found = append(found, Finding{Severity: Warning, Object: podObject(p), Cause: cause, Breaks: "neither the scheduler nor the autoscaler sees it",
				Fix: "see whether the controller runs (tsunagu status) and what it says of the network's port group"})
		}
		return found
	},
}
