package doctor

import (
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/ipam"
)

var gatewayGivenOut = Check{
	Code:  "TSU5006",
	Title: "a pool may give out a router's address",
	Explain: `A pool never gives out its own spec.gateway. The next hop of a route (routes[].gw) is not excluded by itself, nor is the gateway of ` +
		`another pool of the same domain; a Pod that gets such an address takes the router's place.`,
	Needs: []Part{Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pools {
			p := &s.Pools[i]
			r, err := ipam.ParsePool(*p)
			if err != nil {
				continue
			}
			said := map[netip.Addr]bool{}
			for j := range s.Pools {
				other := &s.Pools[j]
				if domainOf(other) != domainOf(p) {
					continue
				}
				routers := []string{other.Spec.Gateway}
				for _, route := range other.Spec.Routes {
					routers = append(routers, route.GW)
				}
				for _, text := range routers {
					router, err := netip.ParseAddr(text)
					if err != nil || said[router] || !r.Contains(router) {
						continue
					}
					said[router] = true
					whose := "its own routes"
					if other.Name != p.Name {
						whose = "IPPool " + other.Name
					}
					found = append(found, Finding{
						Severity: Info,
						Object:   Object{"IPPool", "", p.Name},
						Cause:    fmt.Sprintf("it may give out %s, which is a next hop of %s", router, whose),
						Breaks:   "a Pod that gets it answers in the router's place, and the others lose their way out",
						Fix:      fmt.Sprintf("add %s to exclude", router),
					})
				}
			}
		}
		return found
	},
}
