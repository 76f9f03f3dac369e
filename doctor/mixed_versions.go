package doctor

import (
	"cmp"
	"maps"
	"slices"
)

var mixedVersions = Check{
	Code:  "TSU1003",
	Title: "agents of different versions",
	Explain: `During a roll-out this is normal and passes. When it stays, a node was left behind: its agent Pod was not replaced ` +
		`(updateStrategy OnDelete, a stuck roll-out, an image that was re-tagged).`,
	Needs: []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		nodes := map[string][]string{}
		namespace := ""
		for node, p := range s.Agents() {
			version := cmp.Or(s.Reports[node].Version, ImageVersion(p))
			nodes[version] = append(nodes[version], node)
			namespace = p.Namespace
		}
		if len(nodes) < 2 {
			return nil
		}
		cause := "agents run "
		for i, version := range slices.Sorted(maps.Keys(nodes)) {
			if i > 0 {
				cause += "; "
			}
			slices.Sort(nodes[version])
			cause += version + " on " + list(nodes[version])
		}
		return []Finding{{
			Severity: Warning,
			Object:   Object{"DaemonSet", namespace, AgentName},
			Cause:    cause,
			Breaks:   "nothing while a roll-out is on its way; nodes left behind lack fixes and features of the others",
			Fix:      "wait for the roll-out or see what holds it: kubectl -n " + namespace + " rollout status daemonset/" + AgentName,
		}}
	},
}
