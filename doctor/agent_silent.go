package doctor

import (
	"maps"
	"slices"
)

var agentSilent = Check{
	Code:  "TSU1004",
	Title: "agent does not answer",
	Explain: `The agent's Pod is ready, yet asking it for its report through the API server got no answer. Either the API server does not reach ` +
		`the node, or you may not use pods/proxy. Checks of the inside of nodes (TSU6xxx) leave such a node out.`,
	Needs: []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, node := range slices.Sorted(maps.Keys(s.Silent)) {
			found = append(found, Finding{
				Severity: Info,
				Object:   nodeObject(node),
				Cause:    "the agent's report could not be read: " + s.Silent[node],
				Breaks:   "nothing by itself; the inside of this node was not checked",
				Fix:      "check that the API server reaches the node and that you may get pods/proxy in tsunagu's namespace",
				CausedBy: &Cause{agentNotReady.Code, nodeObject(node)},
			})
		}
		return found
	},
}
