package doctor

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

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
				x, err := ipam.ParsePool(*a)
				y, err2 := ipam.ParsePool(*b)
				if err != nil || err2 != nil {
					continue
				}
				shared, ok := overlap(x, y)
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
			_, err := ipam.ParsePool(s.Pools[i])
			var refusal *ipam.Refusal
			if errors.As(err, &refusal) {
				found = append(found, Finding{
					Severity: Error,
					Object:   Object{"IPPool", "", s.Pools[i].Name},
					Cause:    refusal.Message,
					Breaks:   "Pods that need an address of it are refused",
					Fix:      "kubectl edit ippools.tsunagu.dev " + s.Pools[i].Name,
				})
			}
		}
		return found
	},
}

// overlap returns the first addresses that both pools are about, excludes left
// aside.
func overlap(p, q ipam.Pool) (ipam.Range, bool) {
	for _, a := range rangesOf(p) {
		for _, b := range rangesOf(q) {
			if a.First.BitLen() != b.First.BitLen() {
				continue
			}
			shared := ipam.Range{First: a.First, Last: a.Last}
			if shared.First.Less(b.First) {
				shared.First = b.First
			}
			if b.Last.Less(shared.Last) {
				shared.Last = b.Last
			}
			if !shared.Last.Less(shared.First) {
				return shared, true
			}
		}
	}
	return ipam.Range{}, false
}

func rangesOf(p ipam.Pool) []ipam.Range {
	if len(p.Ranges) == 0 {
		return []ipam.Range{ipam.RangeOf(p.Prefix)}
	}
	return p.Ranges
}

// WhyNot says why a pool does not give out an address; "" means that it does.
func WhyNot(p *v1alpha1.IPPool, a netip.Addr) string {
	parsed, err := ipam.ParsePool(*p)
	if err == nil {
		err = parsed.Refuse(a)
	}
	var refusal *ipam.Refusal
	if errors.As(err, &refusal) {
		return refusal.Message
	}
	return ""
}
