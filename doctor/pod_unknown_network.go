package doctor

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

var unknownNetwork = Check{
	Code:  "TSU4002",
	Title: "Pod asks for a network that is not there",
	Explain: `The annotation k8s.v1.cni.cncf.io/networks names NetworkAttachmentDefinitions, by default of the Pod's own namespace. A Network is ` +
		`published only in the namespaces that it permits.`,
	Needs: []Part{Pods, Definitions},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			if Finished(p) || p.Spec.HostNetwork {
				continue
			}
			wanted, err := Selections(p)
			if err != nil {
				continue
			}
			for _, w := range wanted {
				if s.definition(w.Namespace, w.Name) != nil {
					continue
				}
				f := Finding{
					Severity: Error,
					Object:   podObject(p),
					Cause: fmt.Sprintf("there is no NetworkAttachmentDefinition %s in namespace %s%s", w.Name, w.Namespace,
						didYouMean(w.Name, s.definitionNames(w.Namespace))),
					Breaks: "the Pod stays in ContainerCreating",
					Fix:    s.howToPermit(w),
				}
				if p.Status.Phase == corev1.PodRunning {
					f.Severity, f.Breaks = Warning, "the Pod runs, and will not start again once it is moved or restarted"
				}
				found = append(found, f)
			}
		}
		return found
	},
}

func (s *Snapshot) definitionNames(namespace string) []string {
	var names []string
	for _, d := range s.Definitions {
		if d.Namespace == namespace {
			names = append(names, d.Name)
		}
	}
	return names
}

// howToPermit says what would make a wanted network appear.
func (s *Snapshot) howToPermit(w Selection) string {
	for _, n := range s.Networks {
		if n.Name == w.Name {
			return fmt.Sprintf("Network %s exists and does not permit namespace %s: add the namespace to its spec.namespaces", n.Name, w.Namespace)
		}
	}
	return fmt.Sprintf("correct the Pod's annotation, or make the network: kubectl -n %s get network-attachment-definitions lists what is there", w.Namespace)
}
