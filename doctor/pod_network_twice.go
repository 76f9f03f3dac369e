package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

var networkTwice = Check{
	Code:  "TSU7315",
	Title: "Pod is on one network twice",
	Explain: `Both interfaces have addresses of one subnet, and the kernel sends everything for it by the first. What comes to the second is answered by the ` +
		`first (ARP flux), so switches and firewalls see addresses at two places. That may be meant, for a Pod with source-based routing of its own.`,
	Needs: []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			if Finished(p) {
				continue
			}
			status, err := Status(p)
			if err != nil {
				continue
			}
			at := map[string][]string{}
			for _, one := range status {
				if len(one.IPs) > 0 {
					at[one.Name] = append(at[one.Name], one.Interface)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(at)) {
				if len(at[name]) < 2 {
					continue
				}
				found = append(found, Finding{Severity: Info, Object: podObject(p),
					Cause:  fmt.Sprintf("%s are all on network %s", strings.Join(at[name], ", "), name),
					Breaks: "what comes to the second interface may be answered by the first",
					Fix:    "take it once, or chain the plugin sbr behind the network, which gives each interface routes of its own"})
			}
		}
		return found
	},
}
