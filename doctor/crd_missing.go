package doctor

import (
	"slices"

	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// wantedCRDs are the definitions that tsunagu needs, by name.
var wantedCRDs = []string{
	"networks.tsunagu.dev", "ippools.tsunagu.dev", "ipregions.tsunagu.dev", "ipblocks.tsunagu.dev", "ipaddresses.tsunagu.dev",
	"network-attachment-definitions.k8s.cni.cncf.io",
}

var crdMissing = Check{
	Code:  "TSU2001",
	Title: "a CustomResourceDefinition is missing",
	Explain: `The definitions are installed apart from the rest, so that removing tsunagu does not remove everybody's networks and addresses ` +
		`(docs/decisions/0003). Without one of them agents cannot read their work.`,
	Needs: []Part{CRDs},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, name := range wantedCRDs {
			if s.crd(name) != nil {
				continue
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   Object{"CustomResourceDefinition", "", name},
				Cause:    "it is not in the cluster",
				Breaks:   "agents and controller wait for it; Pods that ask for networks are refused",
				Fix:      "kubectl apply --server-side -f deploy/crds",
			})
		}
		return found
	},
}

func (s *Snapshot) crd(name string) *crdv1.CustomResourceDefinition {
	i := slices.IndexFunc(s.CRDs, func(c crdv1.CustomResourceDefinition) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &s.CRDs[i]
}
