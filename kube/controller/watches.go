package controller

import (
	"context"
	"net/netip"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func addNetworks(m ctrl.Manager, r *networks) error {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return ctrl.NewControllerManagedBy(m).Named("network").
		For(&v1alpha1.Network{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&nadv1.NetworkAttachmentDefinition{}).
		Owns(&v1alpha1.IPPool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(namespace, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(permissionChanged)).
		Complete(r)
}

// permissionChanged passes what may change who may use a Network: namespaces
// that come, go, are relabelled or begin to end.
var permissionChanged = predicate.Or[client.Object](predicate.LabelChangedPredicate{}, predicate.GenerationChangedPredicate{})

// all returns every Network.
func (r *networks) all(ctx context.Context, _ client.Object) []reconcile.Request {
	var nets v1alpha1.NetworkList
	if err := r.List(ctx, &nets); err != nil {
		r.log.Error("list networks", "err", err)
		return nil
	}
	requests := make([]reconcile.Request, len(nets.Items))
	for i, n := range nets.Items {
		requests[i] = reconcile.Request{NamespacedName: types.NamespacedName{Name: n.Name}}
	}
	return requests
}

func addPools(m ctrl.Manager, r *pools) error {
	return ctrl.NewControllerManagedBy(m).Named("pool").
		For(&v1alpha1.IPPool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.IPPool{}, handler.EnqueueRequestsFromMapFunc(r.neighbours), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.IPBlock{}, handler.EnqueueRequestsFromMapFunc(r.neighbours)).
		Watches(&v1alpha1.IPAddress{}, handler.EnqueueRequestsFromMapFunc(r.neighbours)).
		Watches(&v1alpha1.Network{}, handler.EnqueueRequestsFromMapFunc(r.ofNetwork), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

func addClaims(m ctrl.Manager, r *claims) error {
	return ctrl.NewControllerManagedBy(m).Named("claim").
		For(&v1alpha1.IPClaim{}).
		Watches(&v1alpha1.IPAddress{}, handler.EnqueueRequestsFromMapFunc(claimOf)).
		Complete(r)
}

// claimOf returns the claim that an address belongs to.
func claimOf(_ context.Context, o client.Object) []reconcile.Request {
	if a, ok := o.(*v1alpha1.IPAddress); ok && a.Spec.Claim.UID != "" {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: a.Spec.Claim.Namespace, Name: a.Spec.Claim.Name}}}
	}
	return nil
}

// neighbours returns the pools whose subnet shares addresses with an object.
func (r *pools) neighbours(ctx context.Context, o client.Object) []reconcile.Request {
	domain, at := place(o)
	if !at.IsValid() {
		return nil
	}
	return r.those(ctx, func(p *v1alpha1.IPPool) bool {
		prefix, err := netip.ParsePrefix(p.Spec.CIDR)
		return err == nil && p.Spec.Domain == domain && prefix.Overlaps(at)
	})
}

// ofNetwork returns the pools that were made for a Network.
func (r *pools) ofNetwork(ctx context.Context, o client.Object) []reconcile.Request {
	return r.those(ctx, func(p *v1alpha1.IPPool) bool { return p.Labels[v1alpha1.NetworkLabel] == o.GetName() })
}

func (r *pools) those(ctx context.Context, want func(*v1alpha1.IPPool) bool) []reconcile.Request {
	var all v1alpha1.IPPoolList
	if err := r.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		r.log.Error("list pools", "err", err)
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if want(&all.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: all.Items[i].Name}})
		}
	}
	return requests
}

// place is the domain and the prefix that an object is about; the prefix is
// invalid when it cannot be parsed.
func place(o client.Object) (string, netip.Prefix) {
	switch o := o.(type) {
	case *v1alpha1.IPPool:
		p, _ := netip.ParsePrefix(o.Spec.CIDR)
		return o.Spec.Domain, p
	case *v1alpha1.IPBlock:
		p, _ := netip.ParsePrefix(o.Spec.CIDR)
		return o.Spec.Domain, p
	case *v1alpha1.IPAddress:
		a, err := netip.ParseAddr(o.Spec.Address)
		if err != nil {
			return "", netip.Prefix{}
		}
		return o.Spec.Domain, netip.PrefixFrom(a, a.BitLen())
	}
	return "", netip.Prefix{}
}
