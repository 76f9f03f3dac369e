package doctor

import (
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/ipam"
)

var strangersAddress = Check{
	Code:  "TSU5011",
	Title: "a stranger uses an address of a pool",
	Explain: `Before a Pod gets an address its segment is asked who has it. Somebody who is no Pod answered: the address is kept from Pods for a ` +
		`while, and asked for again then. A stranger that stays takes an address of the pool for good.`,
	Needs: []Part{Addresses},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, a := range s.Addresses {
			q := a.Spec.Quarantine
			if q == nil || ipam.IsQuota(a.Spec.Domain) {
				continue
			}
			if _, err := netip.ParseAddr(a.Spec.Address); err != nil {
				continue
			}
			where := "domain " + a.Spec.Domain
			if a.Spec.Pool != "" {
				where = "pool " + a.Spec.Pool
			}
			found = append(found, Finding{
				Severity: Warning,
				Object:   Object{"IPAddress", "", a.Name},
				Cause:    fmt.Sprintf("%s of %s is used by %s, seen by node %s at %s", a.Spec.Address, where, q.MAC, q.Node, q.Seen.UTC().Format("2006-01-02 15:04:05 MST")),
				Breaks:   "Pods that ask for this address are refused; others get another",
				Fix:      "find the machine with that MAC and take the address from it, or exclude the address from the pool",
			})
		}
		return found
	},
}
