package doctor

import (
	"fmt"
	"maps"
	"slices"
)

var reversePathFilter = Check{
	Code:  "TSU6003",
	Title: "strict reverse path filter",
	Explain: `With net.ipv4.conf.<interface>.rp_filter=1 the kernel drops a packet that came in by another interface than the answer would leave by ` +
		`(RFC 3704 strict mode). A Pod with two networks makes such packets. The larger of conf.all and the interface's own counts.`,
	Needs: []Part{Reports},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, node := range slices.Sorted(maps.Keys(s.Reports)) {
			filters := s.Reports[node].RPFilter
			var strict []string
			for _, name := range slices.Sorted(maps.Keys(filters)) {
				if name != "all" && name != "default" && name != "lo" && max(filters[name], filters["all"]) == 1 {
					strict = append(strict, name)
				}
			}
			if len(strict) == 0 {
				continue
			}
			found = append(found, Finding{
				Severity: Info,
				Object:   nodeObject(node),
				Cause:    fmt.Sprintf("rp_filter is 1 (strict) on %s", list(strict)),
				Breaks:   "nothing on the usual paths; a packet whose answer would leave by another interface is dropped without a trace",
				Fix:      "set net.ipv4.conf.all.rp_filter=0 or 2 in a file of /etc/sysctl.d that is read last (systemd ships one with 2)",
			})
		}
		return found
	},
}
