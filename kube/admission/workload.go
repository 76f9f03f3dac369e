package admission

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// workload is what is read of an object that makes Pods.
type workload struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Replicas    *int32 `json:"replicas"`
		Parallelism *int32 `json:"parallelism"`
		Strategy    struct {
			Type          string `json:"type"`
			RollingUpdate struct {
				MaxSurge *intstr.IntOrString `json:"maxSurge"`
			} `json:"rollingUpdate"`
		} `json:"strategy"`
		Template    template `json:"template"`
		JobTemplate struct {
			Spec struct {
				Parallelism *int32   `json:"parallelism"`
				Template    template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

// workload judges the Pods that an object would make.
func (d *Desk) workload(ctx context.Context, req admission.Request) (verdict, error) {
	var w workload
	if err := json.Unmarshal(req.Object.Raw, &w); err != nil {
		return verdict{}, fmt.Errorf("read the %s of the request: %w", req.Kind.Kind, err)
	}
	t := w.Spec.Template
	if req.Kind.Kind == "CronJob" {
		t = w.Spec.JobTemplate.Spec.Template
	}
	if t.networks() == "" {
		return verdict{}, nil
	}
	var v verdict
	for _, r := range d.review(ctx, t, asker{namespace: req.Namespace, name: w.Metadata.Name, workload: true}) {
		v.warnings = append(v.warnings, r.Refusal.Note())
	}
	if t.Spec.HostNetwork {
		v.warn("%s", onHostNetwork)
	}
	if len(v.warnings) == 0 {
		if address := d.fixed(ctx, t, req.Namespace); address != "" {
			v.warnings = w.shares(req.Kind.Kind, address)
		}
	}
	return v, nil
}

// fixed is the first address that each Pod of a template asks for.
func (d *Desk) fixed(ctx context.Context, t template, namespace string) string {
	for _, r := range d.Reviewer(ctx).Pod(ctx, podOf(t, namespace)) {
		for _, ip := range r.Selection.IPs {
			return ip.Addr.String()
		}
	}
	return ""
}

// shares warns of workloads whose Pods all ask for one address at the same
// time: only one of them starts.
func (w workload) shares(kind, address string) []string {
	const apart = "To fix: ask for no address, and let the pool give each Pod its own"
	several := func(n *int32) bool { return n != nil && *n > 1 }
	s := w.Spec
	switch {
	case kind == "DaemonSet":
		return []string{fmt.Sprintf("each Pod of DaemonSet %s asks for address %s, and only one of them can have it. %s", w.Metadata.Name, address, apart)}
	case several(s.Replicas), several(s.Parallelism), several(s.JobTemplate.Spec.Parallelism):
		return []string{fmt.Sprintf("%s %s runs several Pods at a time and each asks for address %s, only one of them can have it. %s", kind, w.Metadata.Name, address, apart)}
	case kind == "Deployment" && s.Strategy.Type != "Recreate" && !noSurge(s.Strategy.RollingUpdate.MaxSurge):
		return []string{fmt.Sprintf("Deployment %s starts its new Pod before the old one ends, and both ask for address %s: an update would wait for ever. "+
			"To fix: set spec.strategy.type: Recreate", w.Metadata.Name, address)}
	}
	return nil
}

// noSurge tells that no Pod is started beyond the replicas. The default is a
// quarter of them, rounded up.
func noSurge(s *intstr.IntOrString) bool {
	return s != nil && (s.Type == intstr.Int && s.IntVal == 0 || s.Type == intstr.String && (s.StrVal == "0%" || s.StrVal == "0"))
}
