package doctor

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// placing is where the Networks are that nodes may lack.
type placing struct {
	// networks by the definition that stands for them, namespace/name.
	networks map[string]*v1alpha1.Network
	// ready are the nodes of each, by its name, as their labels say.
	ready map[string][]string
}

func (s *Snapshot) placing() placing {
	p := placing{map[string]*v1alpha1.Network{}, map[string][]string{}}
	reached := map[string]*v1alpha1.Network{}
	for i := range s.Networks {
		if n := &s.Networks[i]; n.Spec.Reach != nil {
			reached[n.Name] = n
			for _, node := range s.Nodes {
				if node.Labels[v1alpha1.NetworkReadyPrefix+n.Name] == v1alpha1.NetworkReadyValue {
					p.ready[n.Name] = append(p.ready[n.Name], node.Name)
				}
			}
		}
	}
	for _, d := range s.Definitions {
		if n := reached[d.Labels[v1alpha1.NetworkLabel]]; n != nil {
			p.networks[d.Namespace+"/"+d.Name] = n
		}
	}
	return p
}

// of are the Networks that a Pod selects and that nodes may lack, each once.
func (p placing) of(pod *corev1.Pod) (all []*v1alpha1.Network) {
	selected, err := Selections(pod)
	if err != nil {
		return nil
	}
	for _, one := range selected {
		if n := p.networks[one.Namespace+"/"+one.Name]; n != nil && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// waits tells whether a Pod has no node yet.
func waits(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.DeletionTimestamp == nil && !Finished(p)
}

// age is how old a Pod is.
func (s *Snapshot) age(p *corev1.Pod) time.Duration { return s.Time.Sub(p.CreationTimestamp.Time) }
