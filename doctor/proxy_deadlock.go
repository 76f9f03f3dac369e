package doctor

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
)

var proxyDeadlock = Check{
	Code:  "TSU7404",
	Title: "control plane's address and Services wait for each other",
	Explain: `Cilium in place of kube-proxy needs an API server before there are Services. If it is given the address that a DaemonSet of kube-vip keeps, and that ` +
		`DaemonSet finds the API server by a Service, neither starts first.`,
	Needs: []Part{DaemonSets},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.DaemonSets {
			keeper := &s.DaemonSets[i]
			address := environment(keeper, "address")
			if address == "" || environment(keeper, "cp_enable") != "true" || environment(keeper, "KUBERNETES_SERVICE_HOST") != "" {
				continue
			}
			for j := range s.DaemonSets {
				proxy := &s.DaemonSets[j]
				if i == j || environment(proxy, "KUBERNETES_SERVICE_HOST") != address {
					continue
				}
				found = append(found, Finding{Severity: Error, Object: Object{"DaemonSet", proxy.Namespace, proxy.Name},
					Cause:  fmt.Sprintf("it asks the API server at %s, which DaemonSet %s/%s keeps, which asks it by Service kubernetes, which needs %s", address, keeper.Namespace, keeper.Name, proxy.Name),
					Breaks: "after a cold start of all nodes nothing comes up",
					Fix:    "give it 127.0.0.1 as k8sServiceHost: an API server, or the proxy of K3s (port 6444 on agents), answers there"})
			}
		}
		return found
	},
}

// environment is the value of a variable in the first container that has it.
func environment(d *appsv1.DaemonSet, name string) string {
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, v := range c.Env {
			if v.Name == name {
				return v.Value
			}
		}
	}
	return ""
}
