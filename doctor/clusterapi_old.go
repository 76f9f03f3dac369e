package doctor

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
)

// sinceNodeLabels is the first Cluster API that carries labels of Machines to Nodes.
var sinceNodeLabels = scaleup.Version{1, 4, 0}

var clusterAPIOld = Check{
	Code:    "TSU7011",
	Title:   "Cluster API too old to label Nodes",
	Explain: `From 1.4.0 on Cluster API carries labels of a MachineDeployment's template to Nodes. Before, nodes come up without them, and the Pod that they were made for does not fit.`,
	Needs:   []Part{Machines},
	Look: func(s *Snapshot) []Finding {
		if s.ScaleUp == nil || s.ClusterAPI == (scaleup.Version{}) || !s.ClusterAPI.Before(sinceNodeLabels) {
			return nil
		}
		var found []Finding
		for _, g := range s.ScaleUp.Groups {
			labels := slices.DeleteFunc(slices.Sorted(maps.Keys(g.TemplateLabels)), func(key string) bool { return !scaleup.Synced(key) })
			if len(labels) == 0 {
				continue
			}
			found = append(found, Finding{Severity: Error, Object: groupObject(g),
				Cause:  fmt.Sprintf("Cluster API %s does not carry %s of its template to Nodes", s.ClusterAPI, list(labels)),
				Breaks: "nodes come without the labels that Pods select", Fix: "use Cluster API 1.4.0 or later"})
		}
		return found
	},
}
