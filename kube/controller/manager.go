package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Options say how the controller runs.
type Options struct {
	// Namespace holds the Lease by which one of several is elected.
	Namespace string
	// Elect is false for a controller that is alone for certain.
	Elect bool
	// MetricsAddress and HealthAddress are where HTTP is served; "0" serves
	// nothing.
	MetricsAddress, HealthAddress string
	// Quarantine is how long a node must be known to be gone, with no Pods
	// left, before its addresses are given to others.
	Quarantine time.Duration
}

// leaseName is the Lease's name; the controller's Role names it too.
const leaseName = "tsunagu-controller"

// New wires the controller. Its Start runs until the context ends.
func New(cfg *rest.Config, o Options, log *slog.Logger) (ctrl.Manager, error) {
	scheme, err := kinds()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 100, 200 // a new namespace means a request per Network
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	m, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        logr.FromSlogHandler(log.Handler()),
		Cache:                         cacheOptions(),
		Metrics:                       server.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		LeaderElection:                o.Elect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	if err := m.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	if err := m.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	if err := index(m); err != nil {
		return nil, fmt.Errorf("index addresses: %w", err)
	}
	gauge, err := addressGauge(metrics.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	b := &books{m.GetClient()}
	recorder := m.GetEventRecorder("tsunagu-controller")
	if err := addNetworks(m, &networks{Client: m.GetClient(), live: m.GetAPIReader(), events: recorder, log: log, books: b}); err != nil {
		return nil, fmt.Errorf("watch networks: %w", err)
	}
	if err := addPools(m, &pools{Client: m.GetClient(), log: log, books: b, gauge: gauge, wrote: map[string]time.Time{}}); err != nil {
		return nil, fmt.Errorf("watch pools: %w", err)
	}
	return m, m.Add(&garbage{
		Client: m.GetClient(), live: m.GetAPIReader(), graves: newGraveyard(o.Quarantine),
		events: recorder, log: log, said: map[ownerID]string{}, idle: map[types.UID]time.Time{},
	})
}

// kinds registers what the controller reads and writes, and nothing more: each
// group of Kubernetes' own costs memory.
func kinds() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, nadv1.AddToScheme, v1alpha1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// cacheOptions keep the caches small: definitions of ours only, and of every
// object not what nobody reads. Pods are never cached.
func cacheOptions() cache.Options {
	ours, err := k8slabels.NewRequirement(v1alpha1.NetworkLabel, selection.Exists, nil)
	if err != nil {
		panic("label " + v1alpha1.NetworkLabel + " is no label: " + err.Error())
	}
	return cache.Options{
		DefaultTransform: strip,
		ByObject: map[client.Object]cache.ByObject{
			&nadv1.NetworkAttachmentDefinition{}: {Label: k8slabels.NewSelector().Add(*ours)},
		},
	}
}

// strip drops what the controller does not read of any object.
func strip(o any) (any, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	m.SetManagedFields(nil)
	if p, ok := o.(*metav1.PartialObjectMetadata); ok {
		p.SetAnnotations(nil)
		p.SetFinalizers(nil)
		p.SetOwnerReferences(nil)
		if p.Kind == "Node" {
			p.SetLabels(nil)
		}
	}
	return o, nil
}

func index(m ctrl.Manager) error {
	ctx := context.Background()
	err := m.GetFieldIndexer().IndexField(ctx, &v1alpha1.IPBlock{}, domainField, func(o client.Object) []string {
		return []string{o.(*v1alpha1.IPBlock).Spec.Domain}
	})
	if err != nil {
		return err
	}
	return m.GetFieldIndexer().IndexField(ctx, &v1alpha1.IPAddress{}, domainField, func(o client.Object) []string {
		return []string{o.(*v1alpha1.IPAddress).Spec.Domain}
	})
}

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
