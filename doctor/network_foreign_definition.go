package doctor

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var foreignDefinition = Check{
	Code:  "TSU3002",
	Title: "a hand-written definition stands where a Network wants its own",
	Explain: `A Network publishes a NetworkAttachmentDefinition of its name in each permitted namespace. One that somebody else made is never ` +
		`overwritten, so in that namespace the name means something else than in the others.`,
	Needs: []Part{Networks, Definitions, Namespaces},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, n := range s.Networks {
			for _, namespace := range s.Namespaces {
				d := s.definition(namespace.Name, n.Name)
				if d == nil || d.Labels[v1alpha1.NetworkLabel] == n.Name || !Permits(n.Spec.Namespaces, namespace) {
					continue
				}
				found = append(found, Finding{
					Severity: Error,
					Object:   Object{"Network", "", n.Name},
					Cause:    fmt.Sprintf("NetworkAttachmentDefinition %s/%s exists and was not made by the controller", d.Namespace, d.Name),
					Breaks:   fmt.Sprintf("Pods in namespace %s that ask for %s get what that definition says, not this Network", d.Namespace, n.Name),
					Fix: fmt.Sprintf("rename one of them, or give the name to the Network: kubectl -n %s delete network-attachment-definition %s",
						d.Namespace, d.Name),
				})
			}
		}
		return found
	},
}

// Permits tells whether Pods of a namespace may use a Network. A selector that
// does not parse permits nothing.
func Permits(who *v1alpha1.NamespaceSelector, namespace corev1.Namespace) bool {
	if who == nil {
		return true
	}
	for _, name := range who.Names {
		if name == namespace.Name {
			return true
		}
	}
	if who.Selector == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(who.Selector)
	return err == nil && selector.Matches(labels.Set(namespace.Labels))
}
