package doctor

import (
	"fmt"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var orphanedBlock = Check{
	Code:  "TSU5004",
	Title: "IPBlock of a node that is not there",
	Explain: `A block is leased to a Node by its UID. When the Node is gone, or was created again under its name, the controller first waits for ` +
		`evidence that no Pod of it still uses an address (Quarantined) and then deletes the block.`,
	Needs: []Part{Blocks, Nodes},
	Look: func(s *Snapshot) []Finding {
		uids := map[string]bool{}
		names := map[string]bool{}
		for _, n := range s.Nodes {
			uids[string(n.UID)], names[n.Name] = true, true
		}
		var found []Finding
		for _, b := range s.Blocks {
			owner := b.Spec.Owner
			if uids[owner.NodeUID] {
				continue
			}
			f := Finding{
				Severity: Warning,
				Object:   Object{"IPBlock", "", b.Name},
				Cause:    fmt.Sprintf("%s is leased to node %s with UID %s, which is not in the cluster", b.Spec.CIDR, owner.Node, owner.NodeUID),
				Breaks:   "its addresses are given to nobody",
				Fix: "see that the controller runs: it takes the block back when no Pod of that node is left; " +
					"only if you know the machine is off, kubectl delete ipblocks.tsunagu.dev " + b.Name,
			}
			if names[owner.Node] {
				f.Cause += " (a node of that name is, it was created again)"
			}
			if b.Spec.State == v1alpha1.BlockQuarantined {
				f.Severity = Info
				f.Cause += "; it is in quarantine"
				f.Fix = "nothing: the controller takes it back when the quarantine ends"
			}
			if d := s.Controller(); d != nil {
				f.CausedBy = &Cause{controllerDown.Code, Object{"Deployment", d.Namespace, d.Name}}
			}
			found = append(found, f)
		}
		return found
	},
}
