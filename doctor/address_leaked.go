package doctor

import (
	"fmt"
	"time"
)

// leakAge is how long an IPAddress may outlive its Pod: agents and controller
// take it back within seconds, and a Pod may be replaced in the middle of it.
const leakAge = 5 * time.Minute

var leakedAddress = Check{
	Code:  "TSU5007",
	Title: "IPAddress of a Pod that is not there",
	Explain: `An address bound by name (static, or taken one by one) belongs to one Pod by its UID. It is taken back when the Pod's sandbox is ` +
		`gone; the agent of its node does that, the controller when the node is lost.`,
	Needs: []Part{Addresses, Pods},
	Look: func(s *Snapshot) []Finding {
		pods := map[string]bool{}
		for _, p := range s.Pods {
			pods[string(p.UID)] = true
		}
		var found []Finding
		for _, a := range s.Addresses {
			owner := a.Spec.Owner
			if owner.PodUID == "" || pods[owner.PodUID] || s.Time.Sub(a.CreationTimestamp.Time) < leakAge {
				continue
			}
			found = append(found, Finding{
				Severity: Warning,
				Object:   Object{"IPAddress", "", a.Name},
				Cause: fmt.Sprintf("%s is bound to Pod %s/%s (UID %s) on node %s, which is not in the cluster", a.Spec.Address,
					owner.Namespace, owner.Pod, owner.PodUID, owner.Node),
				Breaks:   "nobody else gets the address",
				Fix:      "see that the agent on node " + owner.Node + " and the controller run; they take it back by themselves",
				CausedBy: s.agentTrouble(owner.Node),
			})
		}
		return found
	},
}
