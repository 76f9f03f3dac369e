package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
)

var machineNoGroup = Check{
	Code:  "TSU7016",
	Title: "autoscaler knows no group of a node",
	Explain: `The line "should not be processed by cluster autoscaler (no node group config)" has many causes, and names none: missing min-size and max-size, an ` +
		`auto-discovery that excludes the group, a group that is paused, a Machine without the Node's provider ID.`,
	Needs: []Part{Lines},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, l := range s.saying("no node group config") {
			f := Finding{Severity: Error, Object: l.about, Cause: shortened(l.line), Breaks: "Cluster Autoscaler neither adds nor removes nodes of that group"}
			f.Fix = "give the node's MachineDeployment both annotations, " + "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size and …-max-size, such as \"0\" and \"3\""
			if reasons := s.unseen(); len(reasons) > 0 {
				f.Cause += "; of the groups that were read, it does not see " + list(reasons)
				f.Fix = "correct the group first, then look again"
			}
			found = append(found, f)
		}
		return found
	},
}

// unseen are the groups that the autoscaler leaves out, each with the code why.
func (s *Snapshot) unseen() (all []string) {
	for _, g := range s.inspect().groups {
		if g.Seen {
			continue
		}
		var codes []string
		for _, p := range g.Problems {
			if p.Effect == scaleup.Drops || p.Effect == scaleup.StopsAll {
				codes = append(codes, string(p.Code))
			}
		}
		slices.Sort(codes)
		all = append(all, fmt.Sprintf("%s (%s)", g.Group, strings.Join(slices.Compact(codes), ", ")))
	}
	return all
}
