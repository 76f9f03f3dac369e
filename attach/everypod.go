package attach

import (
	"fmt"
	"slices"
)

// EveryPod says which networks Pods are on without asking (Multus: defaultNetworks, systemNamespaces, multusNamespace).
type EveryPod struct {
	// Networks are definitions, as [namespace/]name, that come before those of a Pod's annotation.
	Networks []string
	// Except are the namespaces whose Pods do without.
	Except []string
	// Namespace is where definitions without one are looked for, "" for kube-system; also that of a cluster network and of a Pod's default
	// network.
	Namespace string
}

// namespace is Namespace, or what it stands for.
func (e EveryPod) namespace() string {
	if e.Namespace == "" {
		return "kube-system"
	}
	return e.Namespace
}

// Check refuses what is no list of definitions.
func (e EveryPod) Check() error {
	_, err := e.selections()
	return err
}

func (e EveryPod) selections() ([]Selection, error) {
	var all []Selection
	for _, name := range e.Networks {
		one, err := parseNameSelections(name)
		if err == nil {
			one[0].ByCluster = true
			if one[0].Namespace == "" {
				one[0].Namespace = e.namespace()
			}
			err = settle(one, e.namespace())
		}
		if err != nil {
			return nil, fmt.Errorf("default network %q: %w", name, err)
		}
		one[0].IfName, one[0].Auto = "", false
		all = append(all, one[0])
	}
	return all, nil
}

// of lists what a Pod is on: the networks of every Pod, then those that its annotation selects, numbered through.
func (e EveryPod) of(pod Pod) ([]Selection, error) {
	own, err := ParseSelections(pod.Networks, pod.Namespace)
	if err != nil || len(e.Networks) == 0 || slices.Contains(e.Except, pod.Namespace) {
		return own, err
	}
	all, err := e.selections()
	if err != nil {
		return nil, err
	}
	ours := len(all)
	for _, s := range own {
		if s.Auto {
			s.IfName, s.Auto = "", false
		}
		all = append(all, s)
	}
	if err := settle(all, pod.Namespace); err != nil { // each of them is fine for itself
		return nil, refusef(ReasonInterfaceConflict, fmt.Sprintf("give the elements interfaces that are not net1 to net%d", ours),
			"annotation %s: an interface that it names is that of a network that every Pod is on (%d of them), or of another element", SelectionAnnotation, ours)
	}
	return all, nil
}
