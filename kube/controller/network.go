package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kube/vlan"
)

// Reasons of a Network's Ready condition.
const (
	reasonPublished = "Published"
	reasonConflict  = "Conflict"
	reasonInvalid   = "Invalid"
	reasonVLANTaken = "VLANTaken"
)

// lookAgain is how soon a Network with an object in its way is looked at
// again: only objects of ours lead back to their Network, so nothing tells when
// a foreign one goes.
const lookAgain = 30 * time.Second

// networks carries out Networks.
type networks struct {
	client.Client               // reads are from the cache
	live          client.Reader // reads are not
	events        events.EventRecorder
	log           *slog.Logger
	books         *books
}

// Reconcile makes one Network so.
func (r *networks) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return settle(r.reconcile(ctx, req))
}

// settle turns a write that lost against another into another try: the cache
// was behind, which is no error.
func settle(result ctrl.Result, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 200 * time.Millisecond}, nil
	}
	return result, err
}

func (r *networks) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var net v1alpha1.Network
	if err := r.Get(ctx, req.NamespacedName, &net); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if net.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // what was made for it goes by its owner reference
	}
	plan, err := r.plan(ctx, &net)
	var bad invalid
	if errors.As(err, &bad) {
		return ctrl.Result{}, r.say(ctx, &net, networkPlan{Namespaces: int(net.Status.Namespaces)}, err)
	}
	var taken vlan.Taken
	if errors.As(err, &taken) {
		return ctrl.Result{RequeueAfter: lookAgain}, r.say(ctx, &net, networkPlan{Namespaces: int(net.Status.Namespaces)}, err)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.apply(ctx, &net, &plan); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.say(ctx, &net, plan, nil); err != nil {
		return ctrl.Result{}, err
	}
	if len(plan.Conflicts) > 0 || len(plan.Draining) > 0 {
		return ctrl.Result{RequeueAfter: lookAgain}, nil
	}
	return ctrl.Result{}, nil
}

// invalid is a Network that cannot be carried out until somebody changes it.
type invalid struct{ error }

func (r *networks) plan(ctx context.Context, net *v1alpha1.Network) (networkPlan, error) {
	for _, s := range net.Spec.Subnets {
		if _, err := ipam.ParsePool(*pool(net, s)); err != nil {
			return networkPlan{}, invalid{fmt.Errorf("subnet %s: %w", s.CIDR, err)}
		}
	}
	if err := vlan.Owns(ctx, r, net); err != nil {
		return networkPlan{}, err
	}
	var namespaces metav1.PartialObjectMetadataList
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.List(ctx, &namespaces); err != nil {
		return networkPlan{}, err
	}
	names, err := permitted(net, namespaces.Items)
	if err != nil {
		return networkPlan{}, invalid{err}
	}
	ours := client.MatchingLabels{v1alpha1.NetworkLabel: net.Name}
	var definitions nadv1.NetworkAttachmentDefinitionList
	if err := r.List(ctx, &definitions, ours); err != nil {
		return networkPlan{}, err
	}
	var pools v1alpha1.IPPoolList
	if err := r.List(ctx, &pools); err != nil {
		return networkPlan{}, err
	}
	return planNetwork(net, names, definitions.Items, pools.Items, func(p *v1alpha1.IPPool) bool {
		return p.Status.Used > 0 || r.books.used(ctx, p) > 0
	})
}

// apply carries out a plan. An object that turns up where the cache had none
// is looked at live: ours is brought up to date, another's is a conflict.
func (r *networks) apply(ctx context.Context, net *v1alpha1.Network, plan *networkPlan) error {
	var errs []error
	for _, o := range plan.Create {
		err := r.Create(ctx, o)
		switch {
		case apierrors.IsAlreadyExists(err):
			errs = append(errs, r.meet(ctx, net, o, plan))
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), apierrors.IsNotFound(err):
			plan.Namespaces-- // the namespace goes; its event brings us back
		case err != nil:
			errs = append(errs, fmt.Errorf("create %s: %w", title(o), err))
		default:
			r.log.Info("created", "object", title(o), "network", net.Name)
		}
	}
	for _, o := range plan.Update {
		if err := r.Update(ctx, o); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("update %s: %w", title(o), err))
			continue
		}
		r.log.Info("updated", "object", title(o), "network", net.Name)
	}
	for _, o := range plan.Delete {
		uid, version := o.GetUID(), o.GetResourceVersion()
		err := r.Delete(ctx, o, client.Preconditions{UID: &uid, ResourceVersion: &version})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete %s: %w", title(o), err))
			continue
		}
		r.log.Info("deleted, no longer part of the network", "object", title(o), "network", net.Name)
	}
	sortConflicts(plan.Conflicts)
	return errors.Join(errs...)
}

// meet handles a wanted object that exists already, unknown to the cache.
func (r *networks) meet(ctx context.Context, net *v1alpha1.Network, want client.Object, plan *networkPlan) error {
	old := want.DeepCopyObject().(client.Object)
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(want), old); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !may(net, old) {
		plan.Conflicts = append(plan.Conflicts, inTheWay(kindOf(want), old))
		if _, ok := want.(*nadv1.NetworkAttachmentDefinition); ok {
			plan.Namespaces--
		}
		return nil
	}
	adoptMeta(old, want)
	switch next := old.(type) {
	case *nadv1.NetworkAttachmentDefinition:
		next.Spec = want.(*nadv1.NetworkAttachmentDefinition).Spec
	case *v1alpha1.IPPool:
		next.Spec.Subnet = want.(*v1alpha1.IPPool).Spec.Subnet
	}
	if err := r.Update(ctx, old); err != nil {
		return fmt.Errorf("update %s: %w", title(old), err)
	}
	return nil
}

// say writes the Network's status, and an Event when its readiness changed.
func (r *networks) say(ctx context.Context, net *v1alpha1.Network, plan networkPlan, bad error) error {
	status, reason, message := verdict(plan, bad)
	next := net.DeepCopy()
	next.Status.ObservedGeneration = net.Generation
	next.Status.Namespaces = int32(plan.Namespaces)
	if bad == nil {
		next.Status.Subnets = subnets(net)
	}
	changed := meta.SetStatusCondition(&next.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message,
		ObservedGeneration: net.Generation,
	})
	if equality.Semantic.DeepEqual(net.Status, next.Status) {
		return nil
	}
	if err := r.Status().Update(ctx, next); err != nil {
		return fmt.Errorf("write the status of Network %s: %w", net.Name, err)
	}
	if changed {
		kind := corev1.EventTypeNormal
		if status != metav1.ConditionTrue {
			kind = corev1.EventTypeWarning
		}
		r.events.Eventf(net, nil, kind, reason, "Publish", "%s", message)
		r.log.Info("network is "+strings.ToLower(reason), "network", net.Name, "message", message)
	}
	return nil
}

func subnets(net *v1alpha1.Network) string {
	var all []string
	for _, s := range net.Spec.Subnets {
		all = append(all, s.CIDR)
	}
	return strings.Join(all, ", ")
}

// verdict words what became of a Network.
func verdict(plan networkPlan, bad error) (metav1.ConditionStatus, string, string) {
	switch {
	case errors.As(bad, &vlan.Taken{}):
		return metav1.ConditionFalse, reasonVLANTaken, bad.Error()
	case bad != nil:
		return metav1.ConditionFalse, reasonInvalid, bad.Error()
	case len(plan.Conflicts) > 0:
		var all []string
		for i, c := range plan.Conflicts {
			if i == 5 {
				all = append(all, fmt.Sprintf("and %d more", len(plan.Conflicts)-i))
				break
			}
			all = append(all, c.String())
		}
		return metav1.ConditionFalse, reasonConflict, strings.Join(all, "; ")
	}
	message := fmt.Sprintf("published in %d namespaces", plan.Namespaces)
	if plan.Namespaces == 1 {
		message = "published in 1 namespace"
	}
	if len(plan.Draining) > 0 {
		message += "; waiting until nothing uses the removed subnets of " + strings.Join(plan.Draining, ", ")
	}
	return metav1.ConditionTrue, reasonPublished, message
}

func title(o client.Object) string {
	if ns := o.GetNamespace(); ns != "" {
		return kindOf(o) + " " + ns + "/" + o.GetName()
	}
	return kindOf(o) + " " + o.GetName()
}

func kindOf(o client.Object) string {
	switch o.(type) {
	case *nadv1.NetworkAttachmentDefinition:
		return "NetworkAttachmentDefinition"
	case *v1alpha1.IPPool:
		return "IPPool"
	case *v1alpha1.IPBlock:
		return "IPBlock"
	case *v1alpha1.IPAddress:
		return "IPAddress"
	default:
		return fmt.Sprintf("%T", o)
	}
}
