package doctor

import (
	"fmt"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var policyNotApplied = Check{
	Code:    "TSU7210",
	Title:   "NetworkPolicy does not filter additional networks",
	Explain: `A NetworkPolicy is about the Pod network. What comes over an additional interface passes by it.`,
	Needs:   []Part{Pods, Policies},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Policies {
			policy := &s.Policies[i]
			selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
			if err != nil {
				continue
			}
			n := 0
			for j := range s.Pods {
				p := &s.Pods[j]
				if p.Namespace == policy.Namespace && p.Annotations[nadv1.NetworkAttachmentAnnot] != "" && selector.Matches(labels.Set(p.Labels)) {
					n++
				}
			}
			if n > 0 {
				found = append(found, Finding{Severity: Info, Object: Object{"NetworkPolicy", policy.Namespace, policy.Name},
					Cause:  fmt.Sprintf("it selects %s with additional networks", plural(n, "Pod")),
					Breaks: "nothing of the Pod network; additional interfaces are open",
					Fix:    "filter additional networks where they come from, or in the Pod"})
			}
		}
		return found
	},
}
