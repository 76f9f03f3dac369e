package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// template is what is read of a Pod or a Pod template.
type template struct {
	Metadata struct {
		Name            string                  `json:"name"`
		Annotations     map[string]string       `json:"annotations"`
		Labels          map[string]string       `json:"labels"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		HostNetwork bool `json:"hostNetwork"`
	} `json:"spec"`
}

// podOf is a Pod of a template that has no name yet.
func podOf(t template, namespace string) attach.Pod {
	return attach.Pod{Namespace: namespace, Name: t.Metadata.Name, Networks: t.networks()}
}

func (t template) networks() string { return t.Metadata.Annotations[attach.SelectionAnnotation] }

// passing are refusals that time may heal: they are warned of and never denied.
var passing = []string{ipam.Taken, ipam.PoolFull, ipam.Unavailable, ipam.Conflict, ipam.UnknownClaim, ipam.ClaimInUse, attach.ReasonInternal}

// pod judges the creation of a Pod.
func (d *Desk) pod(ctx context.Context, req admission.Request) (verdict, error) {
	var t template
	if err := json.Unmarshal(req.Object.Raw, &t); err != nil {
		return verdict{}, fmt.Errorf("read the Pod of the request: %w", err)
	}
	var v verdict
	who := asker{namespace: req.Namespace, name: t.Metadata.Name, migrates: attach.Migrates(t.Metadata.Labels), owner: metav1.GetControllerOf(&metav1.ObjectMeta{OwnerReferences: t.Metadata.OwnerReferences})}
	for _, r := range d.review(ctx, t, who) {
		note := r.Refusal.Note()
		if d.Deny && v.denied == "" && !slices.Contains(passing, r.Refusal.Reason) {
			v.denied = note
			continue
		}
		v.warnings = append(v.warnings, note)
	}
	if t.Spec.HostNetwork && len(v.warnings) == 0 && v.denied == "" {
		v.warn("%s", onHostNetwork)
	}
	return v, nil
}

const onHostNetwork = "a Pod with hostNetwork: true is attached to no network, the annotation " + attach.SelectionAnnotation +
	" has no effect. To fix: remove one of the two"

// review is what a Pod of this template would be refused for.
func (d *Desk) review(ctx context.Context, t template, who asker) []attach.Reviewed {
	var bad []attach.Reviewed
	for _, r := range d.Reviewer(ctx).Pod(ctx, podOf(t, who.namespace)) {
		if r.Refusal != nil {
			bad = append(bad, r)
			continue
		}
		if err := d.has(ctx, r, who); err != nil {
			r.Refusal = attach.Refused(fmt.Errorf("network %s (%s): %w", r.Selection.Network(), r.Selection.IfName, err))
			bad = append(bad, r)
		}
	}
	return bad
}

// has says who else has what one element asks for.
func (d *Desk) has(ctx context.Context, r attach.Reviewed, who asker) error {
	for _, w := range r.Wants {
		if w.Static.IsValid() {
			if err := d.booked(ctx, w, who); err != nil {
				return err
			}
		}
	}
	return d.named(ctx, r, who)
}
