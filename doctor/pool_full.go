package doctor

import (
	"fmt"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// nearlyFull is the share of a pool in use from which it is worth a warning.
const nearlyFull = 0.9

var poolNearlyFull = Check{
	Code:  "TSU5001",
	Title: "IPPool nearly full",
	Explain: `At least nine of ten addresses are in use. Nodes hold addresses in blocks, so the last ones may sit on a node that does not need them ` +
		`until it gives them back. Counts are written lazily and may lag by some seconds.`,
	Needs: []Part{Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, p := range s.Pools {
			if !isFull(p) && p.Status.Total > 0 && float64(p.Status.Total-p.Status.Free) >= nearlyFull*float64(p.Status.Total) {
				found = append(found, fullness(p, Warning, "new Pods on it will be refused soon"))
			}
		}
		return found
	},
}

var poolFull = Check{
	Code:    "TSU5002",
	Title:   "IPPool full",
	Explain: `No address is free. A Pod that asks for one is refused with reason PoolFull, and starts when another Pod on the pool goes away.`,
	Needs:   []Part{Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, p := range s.Pools {
			if isFull(p) {
				found = append(found, fullness(p, Error, "new Pods on it are refused"))
			}
		}
		return found
	},
}

func isFull(p v1alpha1.IPPool) bool {
	return p.Status.Total > 0 && p.Status.Free == 0
}

func fullness(p v1alpha1.IPPool, severity Severity, breaks string) Finding {
	where := "spec.ranges of the IPPool"
	if made := p.Labels[v1alpha1.NetworkLabel]; made != "" {
		where = "the subnet's ranges in Network " + made
	}
	return Finding{
		Severity: severity,
		Object:   Object{"IPPool", "", p.Name},
		Cause: fmt.Sprintf("%d of %d addresses of %s are in use, %d free, %d of them static, in %s",
			p.Status.Used, p.Status.Total, p.Spec.CIDR, p.Status.Free, p.Status.Static, plural(int(p.Status.Blocks), "block")),
		Breaks: breaks,
		Fix:    "see who holds them: tsunagu address list --pool " + p.Name + "; then widen " + where + ", or add a subnet",
	}
}
