package doctor

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

var noInternalIP = Check{
	Code:  "TSU1103",
	Title: "node without InternalIP",
	Explain: `Other nodes reach a node's Pods through the node's InternalIP. kubelet reports it from --node-ip, or the cloud provider does when ` +
		`kubelet runs with --cloud-provider=external; until then there is none.`,
	Needs: []Part{Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, n := range s.Nodes {
			if len(InternalIPs(n)) > 0 {
				continue
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   nodeObject(n.Name),
				Cause:    "status.addresses has no InternalIP",
				Breaks:   "Pods on other nodes do not reach Pods on this node",
				Fix:      "give kubelet --node-ip, or see why the cloud controller has not initialised the node: kubectl describe node " + n.Name,
			})
		}
		return found
	},
}

// InternalIPs are the addresses by which other nodes reach a node.
func InternalIPs(n corev1.Node) []netip.Addr {
	var all []netip.Addr
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			all = append(all, ip.Unmap())
		}
	}
	return all
}
