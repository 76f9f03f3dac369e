package doctor

import (
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
)

var badAnnotation = Check{
	Code:    "TSU4003",
	Title:   "annotation of a Pod cannot be read",
	Explain: `k8s.v1.cni.cncf.io/networks is a list such as "blue, other/green@net7", or a JSON list of objects with name and namespace.`,
	Needs:   []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			if Finished(p) || p.Spec.HostNetwork {
				continue
			}
			if _, err := Selections(p); err != nil {
				found = append(found, Finding{
					Severity: Error,
					Object:   podObject(p),
					Cause:    "annotation " + nadv1.NetworkAttachmentAnnot + ": " + err.Error(),
					Breaks:   "the Pod stays in ContainerCreating",
					Fix:      `correct it where the Pod is made (template of the Deployment); the short form is "blue, other/green@net7"`,
				})
			}
		}
		return found
	},
}
