package doctor

import (
	"maps"
	"slices"
)

var noServiceProxy = Check{
	Code:  "TSU6002",
	Title: "nobody carries out Services on a node",
	Explain: `tsunagu does not carry out Services yet, so every node needs kube-proxy or a replacement. Without one no Pod reaches a ClusterIP, ` +
		`not even that of the API server or of DNS.`,
	Needs: []Part{Reports},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, node := range slices.Sorted(maps.Keys(s.Reports)) {
			proxy := s.Reports[node].ServiceProxy
			if proxy == nil || *proxy != "none" && *proxy != "" {
				continue
			}
			found = append(found, Finding{
				Severity: Warning,
				Object:   nodeObject(node),
				Cause:    "the agent sees no rules of kube-proxy or of a replacement",
				Breaks:   "Services: no ClusterIP is reachable from this node and its Pods, DNS included",
				Fix:      "run kube-proxy on every node (kubeadm does so by itself; k3s does unless --disable-kube-proxy)",
			})
		}
		return found
	},
}
