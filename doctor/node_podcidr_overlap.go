package doctor

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

var overlappingPodCIDRs = Check{
	Code:  "TSU1102",
	Title: "two nodes with overlapping podCIDR",
	Explain: `Each node gives out the addresses of its own podCIDR without asking anybody, so podCIDRs must be disjoint. They overlap when Nodes ` +
		`were created by hand or by two allocators (kube-controller-manager and a cloud provider), or --cluster-cidr was changed in a living cluster.`,
	Needs: []Part{Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i, a := range s.Nodes {
			for _, b := range s.Nodes[i+1:] {
				x, y, overlap := firstOverlap(podCIDRs(a), podCIDRs(b))
				if !overlap {
					continue
				}
				found = append(found, Finding{
					Severity: Error,
					Object:   nodeObject(b.Name),
					Cause:    fmt.Sprintf("its podCIDR %s overlaps %s of node %s", y, x, a.Name),
					Breaks:   "two Pods can get one address; traffic for the shared addresses ends on one of the two nodes",
					Fix: fmt.Sprintf("drain node %s, delete its Node object so that it registers again with a podCIDR of its own, "+
						"and make sure that only one component allocates node CIDRs", b.Name),
				})
			}
		}
		return found
	},
}

// podCIDRs reads a node's podCIDRs; what does not parse is left out, the API
// server does not admit it.
func podCIDRs(n corev1.Node) []netip.Prefix {
	texts := n.Spec.PodCIDRs
	if len(texts) == 0 && n.Spec.PodCIDR != "" {
		texts = []string{n.Spec.PodCIDR}
	}
	var all []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p.Masked())
		}
	}
	return all
}

func firstOverlap(as, bs []netip.Prefix) (a, b netip.Prefix, overlap bool) {
	for _, a := range as {
		for _, b := range bs {
			if a.Overlaps(b) {
				return a, b, true
			}
		}
	}
	return a, b, false
}
