package doctor

import (
	"encoding/json"
	"fmt"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	appsv1 "k8s.io/api/apps/v1"
)

var fixedAddressShared = Check{
	Code:    "TSU7307",
	Title:   "Pods of one Deployment ask for one address",
	Explain: `A fixed address in the annotation of a Deployment's template is asked for by all its Pods, and during a rolling update by the old and the new one.`,
	Needs:   []Part{Deployments},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Deployments {
			d := &s.Deployments[i]
			var asked []struct{ IPs []string }
			if json.Unmarshal([]byte(d.Spec.Template.Annotations[nadv1.NetworkAttachmentAnnot]), &asked) != nil {
				continue
			}
			replicas := int32(1)
			if d.Spec.Replicas != nil {
				replicas = *d.Spec.Replicas
			}
			for _, a := range asked {
				if len(a.IPs) == 0 || replicas < 2 && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || replicas == 0 {
					continue
				}
				f := Finding{Severity: Warning, Object: Object{"Deployment", d.Namespace, d.Name},
					Cause:  fmt.Sprintf("a rolling update starts the new Pod while the old one has %s", list(a.IPs)),
					Breaks: "the new Pod waits in ContainerCreating", Fix: "set spec.strategy.type to Recreate"}
				if replicas > 1 {
					f.Severity, f.Cause, f.Breaks = Error, fmt.Sprintf("%d Pods ask for %s", replicas, list(a.IPs)), "one of them starts, the others wait in ContainerCreating"
					f.Fix = "ask for no address and let the pool give them, or use a StatefulSet with one claim per Pod"
				}
				found = append(found, f)
			}
		}
		return found
	},
}
