package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// nodeLabels keeps the labels by which Pods are scheduled: which Networks were
// verified on a node. Kubelets may not set them, and what a person changes is
// put back.
type nodeLabels struct {
	client.Client
	log *slog.Logger
	now func() time.Time
}

// labelling is how many nodes are labelled at a time: after an outage of a switch that may be all of them, and a write takes milliseconds.
const labelling = 4

// stale is the age at which what a node's agent wrote says nothing any more.
const stale = 5 * time.Minute

func addNodeLabels(m ctrl.Manager, r *nodeLabels) error {
	return ctrl.NewControllerManagedBy(m).Named("nodelabel").
		For(&v1alpha1.NodeNetwork{}).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: o.GetName()}}}
		}), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: labelling}).
		Complete(r)
}

// Reconcile makes a node's labels so.
func (r *nodeLabels) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var node corev1.Node
	if err := r.Get(ctx, req.NamespacedName, &node); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	var has v1alpha1.NodeNetwork
	if err := r.Get(ctx, req.NamespacedName, &has); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	var networks v1alpha1.NetworkList
	if err := r.List(ctx, &networks, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, err
	}
	cards := map[string]bool{}
	for _, n := range networks.Items {
		cards[n.Name] = n.Spec.Reach != nil && n.Spec.Reach.PortGroup != nil
	}
	change, until := planLabels(node.Labels, has, cards, r.now())
	if len(change) > 0 {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": change}})
		if err != nil {
			return reconcile.Result{}, err
		}
		if err := r.Patch(ctx, &node, client.RawPatch(types.MergePatchType, patch)); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("label node %s: %w", node.Name, err))
		}
		r.log.Info("labelled a node", "node", node.Name, "labels", slices.Sorted(maps.Keys(change)))
	}
	return reconcile.Result{RequeueAfter: until}, nil
}

// planLabels compares a node's labels with what its agent says, and which cards
// it has: of the networks that need one, the agent's word may be older than the
// card's end. A nil value removes a label. Until is when to look again, 0 for never.
func planLabels(have map[string]string, of v1alpha1.NodeNetwork, cards map[string]bool, now time.Time) (change map[string]any, until time.Duration) {
	want, says := map[string]bool{}, of.Status
	if left := says.Heartbeat.Add(stale).Sub(now); left > 0 {
		until = left
		for _, n := range says.Networks {
			has := !cards[n.Name] || slices.ContainsFunc(of.Spec.Cards, func(c v1alpha1.NodeCard) bool { return c.Network == n.Name && !c.Leaving })
			if n.Phase == v1alpha1.NetworkPhaseReady && has {
				want[v1alpha1.NetworkReadyPrefix+n.Name] = true
			}
		}
	}
	change = map[string]any{}
	for key, value := range have {
		if strings.HasPrefix(key, v1alpha1.NetworkReadyPrefix) && (!want[key] || value != v1alpha1.NetworkReadyValue) {
			change[key] = nil
		}
	}
	for key := range want {
		if have[key] != v1alpha1.NetworkReadyValue {
			change[key] = v1alpha1.NetworkReadyValue
		}
	}
	return change, until
}
