package admission

import (
	"context"

	"gomodules.xyz/jsonpatch/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// gate is one of spec.schedulingGates.
type gate struct {
	Name string `json:"name"`
}

// gate keeps a Pod from the scheduler, and so from autoscalers, while a node is brought onto its networks. The annotation is by what the controller, which
// takes the gate away, finds the Pod.
func (p *Placement) gate(ctx context.Context, pod *placed, networks []string) []jsonpatch.Operation {
	if !p.Gates || !p.Brings(ctx, networks) {
		return nil
	}
	for _, o := range pod.Metadata.OwnerReferences {
		if o.Kind == "DaemonSet" { // its Pods are of one node each, and would have every node brought
			return nil
		}
	}
	for _, g := range pod.Spec.SchedulingGates {
		if g.Name == v1alpha1.NetworkGate {
			return nil
		}
	}
	annotations := map[string]string{v1alpha1.GatedAnnotation: "true"}
	for k, v := range pod.Metadata.Annotations {
		annotations[k] = v
	}
	return []jsonpatch.Operation{
		jsonpatch.NewOperation("add", "/spec/schedulingGates", append(pod.Spec.SchedulingGates, gate{v1alpha1.NetworkGate})),
		jsonpatch.NewOperation("add", "/metadata/annotations", annotations),
	}
}

// Brings tells whether nodes can be brought onto all those of the networks that no node has.
func (p *Placement) Brings(ctx context.Context, networks []string) bool {
	desk := &Desk{Cached: p.Cached, Live: p.Live}
	brings := false
	for _, name := range networks {
		var n v1alpha1.Network
		if err := desk.find(ctx, client.ObjectKey{Name: name}, &n); err != nil {
			return false
		}
		switch {
		case n.Spec.Reach != nil && n.Spec.Reach.PortGroup != nil && meta.IsStatusConditionTrue(n.Status.Conditions, v1alpha1.ConditionPortGroup):
			brings = true
		case len(p.nowhere(ctx, []string{name})) > 0:
			return false
		}
	}
	return brings
}
