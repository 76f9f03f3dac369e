package doctor

import (
	"fmt"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var misplaced = Check{
	Code:  "TSU7202",
	Title: "Pod is on a node without its network",
	Explain: `Somebody named the node, or the Pod was scheduled when nobody asked for its networks. It is not moved by itself, and its sandbox is tried again until the ` +
		`node has the network.`,
	Needs: []Part{Pods, Definitions, Networks, OnNodes, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		where := s.placing()
		missing := map[[2]string]string{}
		for _, on := range s.OnNodes {
			for _, n := range on.Status.Networks {
				if n.Phase == v1alpha1.NetworkPhaseMissing {
					missing[[2]string{on.Name, n.Name}] = n.Message
				}
			}
		}
		for i := range s.Pods {
			p := &s.Pods[i]
			if p.Spec.NodeName == "" || Finished(p) || p.DeletionTimestamp != nil {
				continue
			}
			for _, n := range where.of(p) {
				why, lacks := missing[[2]string{p.Spec.NodeName, n.Name}]
				if !lacks {
					continue
				}
				fix := "bring the node onto the network"
				if ready := where.ready[n.Name]; len(ready) > 0 {
					fix = "delete the Pod: it is scheduled to one of " + several(ready)
				}
				found = append(found, Finding{Severity: Error, Object: podObject(p), Cause: fmt.Sprintf("it is on %s, which has not Network %s: %s", p.Spec.NodeName, n.Name, why),
					Breaks: "it stays in ContainerCreating, or has lost the network", Fix: fix})
			}
		}
		return found
	},
}
