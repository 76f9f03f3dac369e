package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// gates takes the scheduling gate from Pods for which a node was to be brought onto a network: when it was, and as soon as that is not to be expected.
// A Pod without the gate waits as it would have without tsunagu, for whoever brings nodes.
type gates struct {
	client.Client
	live client.Reader
	// reached are the Networks that a Pod of an annotation needs of a node; there tells that a node has all of a Pod's, brings that one can be given
	// those that none has, acting that this is under way.
	reached func(ctx context.Context, annotation, namespace string) ([]string, error)
	there   func(ctx context.Context, annotation, namespace string) bool
	brings  func(ctx context.Context, networks []string) bool
	acting  func(networks []string) bool
	log     *slog.Logger
	now     func() time.Time
}

const (
	// gateFirst is how long it may take until something is done, gateMost until it succeeded.
	gateFirst, gateMost = 10 * time.Second, 2 * time.Minute
	gateEvery           = 500 * time.Millisecond
)

func addGates(m ctrl.Manager, r *gates) error {
	gated := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetAnnotations()[v1alpha1.GatedAnnotation] != "" })
	return ctrl.NewControllerManagedBy(m).Named("gate").For(unscheduled(), builder.OnlyMetadata, builder.WithPredicates(gated)).Complete(r)
}

// Reconcile looks at one Pod that has, or had, the gate.
func (r *gates) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := unscheduled()
	if err := r.Get(ctx, req.NamespacedName, pod); err != nil || pod.DeletionTimestamp != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	why := r.open(ctx, pod)
	if why == "" {
		return reconcile.Result{RequeueAfter: gateEvery}, nil
	}
	var is corev1.Pod
	if err := r.live.Get(ctx, req.NamespacedName, &is); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	rest := slices.DeleteFunc(slices.Clone(is.Spec.SchedulingGates), isOurs)
	if len(rest) == len(is.Spec.SchedulingGates) {
		return reconcile.Result{}, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": is.ResourceVersion}, "spec": map[string]any{"schedulingGates": rest}})
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.Patch(ctx, &is, client.RawPatch(types.MergePatchType, patch)); err != nil {
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: gateEvery}, nil
		}
		return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("take the scheduling gate from Pod %s: %w", req, err))
	}
	r.log.Info("a Pod may be scheduled", "pod", req.String(), "why", why)
	return reconcile.Result{}, nil
}

// open says why a Pod's gate goes, "" while it stays.
func (r *gates) open(ctx context.Context, pod client.Object) string {
	annotation, age := pod.GetAnnotations()[attach.SelectionAnnotation], r.now().Sub(pod.GetCreationTimestamp().Time)
	networks, err := r.reached(ctx, annotation, pod.GetNamespace())
	switch {
	case err != nil || len(networks) == 0:
		return "its networks are on every node, or not known"
	case r.there(ctx, annotation, pod.GetNamespace()):
		return "a node has its networks"
	case !r.brings(ctx, networks):
		return "no node can be brought onto its networks"
	case age >= gateFirst && !r.acting(networks):
		return "no node is being brought onto its networks"
	case age >= gateMost:
		return "no node was brought onto its networks within " + gateMost.String()
	}
	return ""
}

func isOurs(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.NetworkGate }

// heldBack tells whether somebody else keeps a Pod from being scheduled.
func heldBack(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return !isOurs(g) })
}
