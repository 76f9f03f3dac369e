package doctor

import "fmt"

var overlappingPools = Check{
	Code:  "TSU5003",
	Title: "IPPools of one domain overlap",
	Explain: `Within a domain an address has one owner whatever pool it came from, so nothing is given out twice. But what one pool excludes the ` +
		`other still gives out, and their counts count the same addresses. Two segments that use the same addresses belong in two domains.`,
	Needs: []Part{Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pools {
			for j := range s.Pools[:i] {
				a, b := &s.Pools[j], &s.Pools[i]
				if domainOf(a) != domainOf(b) {
					continue
				}
				x, err := parseRoom(a)
				y, err2 := parseRoom(b)
				if err != nil || err2 != nil {
					continue
				}
				shared, ok := x.overlap(y)
				if !ok {
					continue
				}
				found = append(found, Finding{
					Severity: Warning,
					Object:   Object{"IPPool", "", b.Name},
					Cause:    fmt.Sprintf("it and IPPool %s, both of domain %s, offer %s", a.Name, domainOf(a), shared),
					Breaks:   "no address is given out twice; excludes of one do not bind the other, and both count the same addresses",
					Fix:      "make the ranges disjoint; for two separate segments give one of them another spec.domain",
				})
			}
		}
		return found
	},
}

var badPool = Check{
	Code:    "TSU5008",
	Title:   "IPPool cannot be read",
	Explain: `The schema refuses most nonsense when an IPPool is written; what slips through is refused by every agent.`,
	Needs:   []Part{Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pools {
			if _, err := parseRoom(&s.Pools[i]); err != nil {
				found = append(found, Finding{
					Severity: Error,
					Object:   Object{"IPPool", "", s.Pools[i].Name},
					Cause:    err.Error(),
					Breaks:   "Pods that need an address of it are refused",
					Fix:      "kubectl edit ippools.tsunagu.dev " + s.Pools[i].Name,
				})
			}
		}
		return found
	},
}
