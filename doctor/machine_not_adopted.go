package doctor

import (
	"fmt"
	"time"
)

// adoption is how long Cluster API needs for a new Node at most.
const adoption = 5 * time.Minute

var machineNotAdopted = Check{
	Code:    "TSU7018",
	Title:   "Cluster API has not taken a Node for its Machine",
	Explain: `A new Node keeps the taint node.cluster.x-k8s.io/uninitialized until Cluster API has found its Machine and given it the labels.`,
	Needs:   []Part{Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Nodes {
			n := &s.Nodes[i]
			for _, t := range n.Spec.Taints {
				if age := s.Time.Sub(n.CreationTimestamp.Time); t.Key == "node.cluster.x-k8s.io/uninitialized" && age > adoption {
					found = append(found, Finding{Severity: Error, Object: nodeObject(n.Name),
						Cause:  fmt.Sprintf("after %s it still has the taint %s", age.Round(time.Minute), t.Key),
						Breaks: "no Pod is placed there, and the labels of its Machine are missing",
						Fix:    fmt.Sprintf("compare kubectl get node %s -o jsonpath={.spec.providerID} with that of its Machine, then look at the log of capi-controller-manager", n.Name)})
				}
			}
		}
		return found
	},
}
