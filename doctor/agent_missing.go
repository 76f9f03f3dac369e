package doctor

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

var agentMissing = Check{
	Code:  "TSU1001",
	Title: "no agent on a node",
	Explain: `Every node runs one agent; without it nothing there can attach a Pod. A DaemonSet leaves a node out when the node's taints are not ` +
		`tolerated, its labels do not match, or the Pod does not fit. Without the DaemonSet tsunagu is not installed.`,
	Needs: []Part{Nodes, Pods, DaemonSets},
	Look: func(s *Snapshot) []Finding {
		if s.AgentDaemonSet() == nil {
			return []Finding{{
				Severity: Error,
				Object:   Object{"DaemonSet", "tsunagu-system", AgentName},
				Cause:    "there is no DaemonSet " + AgentName + " in any namespace: tsunagu is not installed",
				Breaks:   "Pods are attached to no network of tsunagu",
				Fix:      "install tsunagu: kubectl apply --server-side -f deploy/tsunagu.yaml",
			}}
		}
		var found []Finding
		agents := s.Agents()
		for _, n := range s.Nodes {
			if agents[n.Name] != nil || n.Labels["type"] == "virtual-kubelet" {
				continue
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   nodeObject(n.Name),
				Cause:    "no agent Pod is on this node" + taints(n),
				Breaks:   "no Pod can start or be removed on this node",
				Fix: fmt.Sprintf("see why the DaemonSet leaves the node out: kubectl -n %s describe daemonset %s",
					s.AgentDaemonSet().Namespace, s.AgentDaemonSet().Name),
			})
		}
		return found
	},
}

// taints names what keeps Pods off a node.
func taints(n corev1.Node) string {
	var keys []string
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			keys = append(keys, t.Key+":"+string(t.Effect))
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return "; the node is tainted " + list(keys)
}
