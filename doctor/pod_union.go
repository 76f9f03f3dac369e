package doctor

import (
	"fmt"
	"slices"
	"strings"
)

var noNodeHasAll = Check{
	Code:  "TSU7208",
	Title: "no node has all networks of a Pod",
	Explain: `Each of the Networks that the Pod selects is on some node, and none has them together, so there is nowhere to schedule it. Networks on port groups are brought ` +
		`to a node that has the others.`,
	Needs: []Part{Pods, Definitions, Networks, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		where := s.placing()
		for i := range s.Pods {
			p := &s.Pods[i]
			if !waits(p) || s.age(p) < settling {
				continue
			}
			var have []string
			var common []string
			brought := false
			for k, n := range where.of(p) {
				ready := where.ready[n.Name]
				brought = brought || n.Spec.Reach.PortGroup != nil || len(ready) == 0
				if have = append(have, n.Name+" is on "+several(ready)); k == 0 {
					common = slices.Clone(ready)
				}
				common = slices.DeleteFunc(common, func(node string) bool { return !slices.Contains(ready, node) })
			}
			if len(have) < 2 || len(common) > 0 || brought {
				continue
			}
			found = append(found, Finding{Severity: Error, Object: podObject(p), Cause: strings.Join(have, ", "), Breaks: "the Pod waits for ever",
				Fix: fmt.Sprintf("bring one node onto all %d, or split the Pod", len(have))})
		}
		return found
	},
}

// several names a few of many.
func several(names []string) string {
	const most = 4
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
