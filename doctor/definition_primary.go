package doctor

import "fmt"

// primaries are plugins that make a cluster's first network and nothing else: each takes itself for the Pod's only one.
var primaries = map[string]string{
	"calico": "Calico", "cilium-cni": "Cilium", "antrea": "Antrea", "weave-net": "Weave Net", "kube-router": "kube-router", "kindnet": "kindnet", "aws-cni": "the CNI of AWS",
}

var primaryAsSecond = Check{
	Code:  "TSU7317",
	Title: "NetworkAttachmentDefinition of a primary network",
	Explain: `The plugin of a cluster's first network keeps a Pod's address and policies by the Pod's name: called for a second interface it takes the first one's state, ` +
		`or refuses. As a cluster's or a Pod's default network (default-network) it works.`,
	Needs: []Part{Definitions, Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Definitions {
			d := &s.Definitions[i]
			plugins, err := parsePlugins(d.Spec.Config)
			if err != nil || len(plugins) == 0 || primaries[plugins[0].Type] == "" {
				continue
			}
			typ := plugins[0].Type
			n := 0
			for j := range s.Pods {
				all, err := Selections(&s.Pods[j])
				for _, one := range all {
					if err == nil && one.Namespace == d.Namespace && one.Name == d.Name {
						n++
						break
					}
				}
			}
			if n > 0 {
				found = append(found, Finding{Severity: Warning, Object: definitionObject(d),
					Cause:  fmt.Sprintf("type %q is %s, and %s as a further network", typ, primaries[typ], verb(n)),
					Breaks: "these Pods are refused, or lose their first interface's address or policies",
					Fix:    "make the second network of macvlan, ipvlan, bridge or a Network of tsunagu; use this definition in default-network only"})
			}
		}
		return found
	},
}

func verb(n int) string {
	if n == 1 {
		return "1 Pod selects it"
	}
	return fmt.Sprintf("%d Pods select it", n)
}
