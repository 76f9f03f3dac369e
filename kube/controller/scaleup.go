package controller

import (
	"context"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ScaleUp is what the cluster autoscaler makes of a Pod that no node takes.
type ScaleUp struct {
	UID types.UID
	// Adds: it adds a node for the Pod. Text says of which group, or why it does not.
	Adds bool
	Text string
}

// NoteMost is how long the API server lets the text of an Event be, in bytes.
const NoteMost = noteMost

const (
	// scaleUpEvery is how often the autoscaler's rules are asked while Pods wait: each time all Pods, nodes and Machines are read.
	scaleUpEvery = time.Minute
	// scaleUpAfter is how long a Pod waits before it is told: a node that is free takes it sooner.
	scaleUpAfter = time.Minute
)

// Reasons of Events about the cluster autoscaler.
const (
	ReasonScaleUpExpected = "ScaleUpExpected"
	ReasonNoScaleUp       = "NoScaleUp"
)

// scaleUps tells Pods that wait for a node whether the autoscaler adds one. The autoscaler's own Event says how many groups it has not
// chosen, and nothing of those that it does not see.
type scaleUps struct {
	client.Client
	// explain judges all Pods that the scheduler has given up for now.
	explain func(context.Context) ([]ScaleUp, error)
	events  events.EventRecorder
	log     *slog.Logger
	now     func() time.Time
	memory  *memory
	failed  string
}

// Start looks until ctx ends.
func (r *scaleUps) Start(ctx context.Context) error {
	tick := time.NewTicker(scaleUpEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.round(ctx)
		}
	}
}

// round tells every Pod that has news. Nothing is read while none waits.
func (r *scaleUps) round(ctx context.Context) {
	r.memory.forget(r.now())
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := r.List(ctx, pods); err != nil {
		r.complain(err)
		return
	}
	waits := func(p metav1.PartialObjectMetadata) bool {
		return p.DeletionTimestamp == nil && r.now().Sub(p.CreationTimestamp.Time) >= scaleUpAfter
	}
	if !slices.ContainsFunc(pods.Items, waits) {
		return
	}
	all, err := r.explain(ctx)
	if err != nil {
		r.complain(err)
		return
	}
	r.failed = ""
	for _, one := range all {
		i := slices.IndexFunc(pods.Items, func(p metav1.PartialObjectMetadata) bool { return p.UID == one.UID })
		if i < 0 || !waits(pods.Items[i]) || !r.memory.news(one.UID, one.Text, r.now()) {
			continue
		}
		kind, reason := corev1.EventTypeWarning, ReasonNoScaleUp
		if one.Adds {
			kind, reason = corev1.EventTypeNormal, ReasonScaleUpExpected
		}
		pod := &pods.Items[i]
		pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod")) // the items of a list have none
		r.events.Eventf(pod, nil, kind, reason, "Scaling", "%s", one.Text)
	}
}

// complain says the same once.
func (r *scaleUps) complain(err error) {
	if err.Error() != r.failed {
		r.failed = err.Error()
		r.log.Warn("Pods are not told what the cluster autoscaler makes of them", "err", err)
	}
}
