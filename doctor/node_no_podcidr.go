package doctor

var noPodCIDR = Check{
	Code:  "TSU1101",
	Title: "node without podCIDR",
	Explain: `Pods get their first interface's address from Node.spec.podCIDRs, which kube-controller-manager gives out when it runs with ` +
		`--allocate-node-cidrs and a --cluster-cidr that has room for one more node.`,
	Needs: []Part{Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, n := range s.Nodes {
			if len(podCIDRs(n)) > 0 {
				continue
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   nodeObject(n.Name),
				Cause:    "spec.podCIDRs is empty",
				Breaks:   "no Pod on this node gets an address on the pod network, other nodes have no route to it",
				Fix: "start kube-controller-manager with --allocate-node-cidrs=true and a --cluster-cidr with room for every node " +
					"(kubeadm: podSubnet; k3s: --cluster-cidr); its log says CIDRNotAvailable when the room is used up",
			})
		}
		return found
	},
}
