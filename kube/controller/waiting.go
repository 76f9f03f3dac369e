package controller

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/attach"
)

// waiting tells Pods that no node takes because of their networks what they
// wait for: the scheduler says no more than that an affinity does not match.
type waiting struct {
	client.Client
	events events.EventRecorder
	// why says what a Pod of an annotation waits for.
	why func(ctx context.Context, annotation, namespace string) []string
	now func() time.Time
	// memory of what was said.
	memory *memory
}

const (
	// patience is how long a Pod may be on no node before it is told: most are for a moment.
	patience = 2 * time.Second
	// waitEvery is how often what it waits for is looked at.
	waitEvery = 5 * time.Second
)

// ReasonWaitingForNetwork is the reason of the Event on a Pod that waits for a
// node with its networks.
const ReasonWaitingForNetwork = "WaitingForNetwork"

func addWaiting(m ctrl.Manager, r *waiting) error {
	selects := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetAnnotations()[attach.SelectionAnnotation] != "" })
	return ctrl.NewControllerManagedBy(m).Named("waiting").For(unscheduled(), builder.OnlyMetadata, builder.WithPredicates(selects)).Complete(r)
}

// Reconcile tells one Pod.
func (r *waiting) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := unscheduled()
	if err := r.Get(ctx, req.NamespacedName, pod); err != nil {
		r.memory.forget(r.now())
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if pod.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if young := patience - r.now().Sub(pod.CreationTimestamp.Time); young > 0 {
		return reconcile.Result{RequeueAfter: young}, nil
	}
	text := strings.Join(r.why(ctx, pod.Annotations[attach.SelectionAnnotation], pod.Namespace), "; ")
	if text != "" && r.memory.news(pod.UID, text, r.now()) {
		r.events.Eventf(pod, nil, corev1.EventTypeWarning, ReasonWaitingForNetwork, "Scheduling", "%s", text)
	}
	return reconcile.Result{RequeueAfter: waitEvery}, nil
}
