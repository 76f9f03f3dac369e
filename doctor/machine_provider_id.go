package doctor

import (
	"fmt"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var machineProviderID = Check{
	Code:    "TSU7017",
	Title:   "Node and Machine disagree about the provider ID",
	Explain: `Cluster API and the autoscaler find the Machine of a Node by spec.providerID, which the cloud provider or the kubelet sets. Without it the Node gets no labels and has "no node group".`,
	Needs:   []Part{Machines, Nodes},
	Look: func(s *Snapshot) []Finding {
		if s.ScaleUp == nil {
			return nil
		}
		ids := map[string]string{}
		for i := range s.Nodes {
			ids[s.Nodes[i].Name] = s.Nodes[i].Spec.ProviderID
		}
		var found []Finding
		for i := range s.ScaleUp.Machines {
			m := &s.ScaleUp.Machines[i]
			want, _, _ := unstructured.NestedString(m.Object, "spec", "providerID")
			node, _, _ := unstructured.NestedString(m.Object, "status", "nodeRef", "name")
			if node == "" {
				node = m.GetName() // what most providers name it
			}
			have, ok := ids[node]
			if !ok || want == "" || path.Base(want) == path.Base(have) {
				continue
			}
			found = append(found, Finding{Severity: Error, Object: nodeObject(node),
				Cause:  fmt.Sprintf("its providerID is %q, that of Machine %s/%s is %q", have, m.GetNamespace(), m.GetName(), want),
				Breaks: "Cluster API gives the Node no labels, and the autoscaler knows no group of it",
				Fix:    "look at the log of the cloud provider, which sets it; or start the kubelet with --provider-id=" + want})
		}
		return found
	},
}
