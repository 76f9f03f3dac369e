package doctor

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/ipam"
)

var poolOverCluster = Check{
	Code:  "TSU7319",
	Title: "a pool has addresses of the cluster's own",
	Explain: `Ranges of a pool that are Pods' (a node's podCIDR), or that hold the address of a node or of a Service: a Pod on the network takes what is another's, and ` +
		`cannot reach it. Who writes the pool is warned by the webhook; this is for pools that were there before, and for nodes that came later.`,
	Needs: []Part{Pools, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pools {
			r, err := ipam.ParsePool(s.Pools[i])
			if err != nil {
				continue
			}
			say := func(fix, format string, args ...any) {
				found = append(found, Finding{Severity: Warning, Object: Object{"IPPool", "", s.Pools[i].Name}, Cause: fmt.Sprintf(format, args...),
					Breaks: "a Pod may get an address that something else has, or cannot reach what has it", Fix: fix})
			}
			for j := range s.Nodes {
				n := &s.Nodes[j]
				for _, text := range n.Spec.PodCIDRs {
					if p, err := netip.ParsePrefix(text); err == nil && p.Overlaps(r.Prefix) {
						say("choose another subnet for one of the two", "%s overlaps the podCIDR %s of node %s", r.Prefix, p, n.Name)
					}
				}
				for _, a := range n.Status.Addresses {
					if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type != corev1.NodeHostName && r.Contains(ip) {
						say(fmt.Sprintf("add %s to exclude", ip), "it may give out %s, the address of node %s", ip, n.Name)
					}
				}
			}
			for j := range s.Services {
				service := &s.Services[j]
				for _, text := range service.Spec.ClusterIPs {
					if ip, err := netip.ParseAddr(text); err == nil && r.Contains(ip) {
						say("choose another subnet: nodes lead the range of Services elsewhere", "it may give out %s, the address of Service %s/%s", ip, service.Namespace, service.Name)
					}
				}
			}
		}
		return found
	},
}
