package doctor

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var networkNotReady = Check{
	Code:    "TSU3001",
	Title:   "Network not ready",
	Explain: `The controller says in the Network's condition Ready what it could not carry out; without a condition it has not looked at it yet.`,
	Needs:   []Part{Networks},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, n := range s.Networks {
			object := Object{"Network", "", n.Name}
			f := Finding{
				Severity: Error,
				Object:   object,
				Breaks:   "Pods that ask for this network may be refused",
				CausedBy: &Cause{foreignDefinition.Code, object},
			}
			ready := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionReady)
			switch {
			case ready == nil && s.Time.Sub(n.CreationTimestamp.Time) < settling:
				continue
			case ready == nil:
				f.Cause = "the controller has not said anything about it"
				f.Fix = "see whether the controller runs: tsunagu status"
				if d := s.Controller(); d != nil {
					f.CausedBy = &Cause{controllerDown.Code, Object{"Deployment", d.Namespace, d.Name}}
				}
			case ready.Status == metav1.ConditionTrue:
				continue
			default:
				f.Cause = fmt.Sprintf("%s: %s", ready.Reason, ready.Message)
				f.Fix = "change what the message names: kubectl edit networks.tsunagu.dev " + n.Name
			}
			found = append(found, f)
		}
		return found
	},
}
