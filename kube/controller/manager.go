package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/kube/admission"
	"github.com/tsunagu-net/tsunagu/kube/ledger"
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
	// Admission says how what people write is judged.
	Admission admission.Options
	// Quarantine is how long a node must be known to be gone, with no Pods
	// left, before its addresses are given to others.
	Quarantine time.Duration
	// VSphere is the folder of the mounted Secret that says which vCenter there is.
	VSphere string
	// NodePools scales MachineDeployments that ask for it.
	NodePools bool
	// ScaleUps, unless nil, says what the cluster autoscaler makes of the Pods that no node takes; they are told by Events.
	ScaleUps func(context.Context) ([]ScaleUp, error)
}

// leaseName is the Lease's name; the controller's Role names it too.
const leaseName = "tsunagu-controller"

// The leader outlives an API server that is away for 20 s, and after a crash the
// next one waits half a minute.
const (
	leaseFor    = 30 * time.Second
	renewWithin = 25 * time.Second
	renewEvery  = 3 * time.Second
)

// New waits for the API server and wires the controller. Its Start runs until
// the context ends.
func New(ctx context.Context, cfg *rest.Config, o Options, health *Health, log *slog.Logger) (ctrl.Manager, error) {
	scheme, err := kinds()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	// A new namespace means a request per Network, and a switch that comes back one per node. How many are on their way at once is bounded by the
	// workers, and the API server shares itself out among clients: this stops loops only.
	cfg.QPS, cfg.Burst = 400, 800
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	mapper, err := reached(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	if o.Admission.Gates {
		if err := gateRight(ctx, cfg, mapper); err != nil {
			return nil, err
		}
	}
	m, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme,
		MapperProvider:                func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		Logger:                        logr.FromSlogHandler(log.Handler()),
		Cache:                         cacheOptions(),
		Metrics:                       server.Options{BindAddress: o.MetricsAddress},
		LeaderElection:                o.Elect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseFor),
		RenewDeadline:                 new(renewWithin),
		RetryPeriod:                   new(renewEvery),
	})
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	filled := m.GetCache()
	health.cache.Store(&filled)
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
	if err := addNodeLabels(m, &nodeLabels{Client: m.GetClient(), log: log, now: time.Now}); err != nil {
		return nil, fmt.Errorf("watch what nodes have: %w", err)
	}
	place := &admission.Placement{Cached: m.GetClient(), Live: m.GetAPIReader(), Log: log}
	cards := newCards(m.GetClient(), m.GetAPIReader(), o.VSphere)
	cards.needs, cards.events, cards.log = place.Reached, recorder, log.With("room", "vsphere")
	if err := m.Add(cards); err != nil {
		return nil, fmt.Errorf("look after network cards: %w", err)
	}
	if o.Admission.Place {
		why := func(ctx context.Context, annotation, namespace string) []string {
			all := place.Waits(ctx, annotation, namespace)
			if networks, err := place.Reached(ctx, annotation, namespace); err == nil && len(all) > 0 {
				all = append(all, cards.Says(networks)...)
			}
			return all
		}
		if err := addWaiting(m, &waiting{Client: m.GetClient(), events: recorder, why: why, now: time.Now, memory: newMemory()}); err != nil {
			return nil, fmt.Errorf("watch Pods that wait: %w", err)
		}
	}
	if err := addGates(m, &gates{Client: m.GetClient(), live: m.GetAPIReader(), reached: place.Reached, brings: place.Brings, acting: cards.Acting, log: log, now: time.Now,
		there: func(ctx context.Context, annotation, namespace string) bool {
			return len(place.Waits(ctx, annotation, namespace)) == 0
		}}); err != nil {
		return nil, fmt.Errorf("watch Pods with a gate: %w", err)
	}
	if o.NodePools {
		if err := m.Add(&nodePools{Client: m.GetClient(), live: m.GetAPIReader(), mapper: mapper, events: recorder, log: log, now: time.Now,
			still: map[string]numbers{}, unused: map[string]time.Time{}, memory: newMemory()}); err != nil {
			return nil, fmt.Errorf("look after node pools: %w", err)
		}
	}
	if o.ScaleUps != nil {
		if err := m.Add(&scaleUps{Client: m.GetClient(), explain: o.ScaleUps, events: recorder, log: log, now: time.Now, memory: newMemory()}); err != nil {
			return nil, fmt.Errorf("look for what the autoscaler does: %w", err)
		}
	}
	book, err := ledger.New(cfg)
	if err != nil {
		return nil, err
	}
	// The network's own rules about namespaces are the Pod's matter.
	desk := &admission.Desk{Cached: m.GetClient(), Live: m.GetAPIReader(), Books: b, Namespaces: o.Admission.Namespaces, Log: log}
	if err := addClaims(m, &claims{Client: m.GetClient(), live: m.GetAPIReader(), events: recorder, log: log, now: time.Now, lone: map[types.UID]time.Time{},
		review: func(ctx context.Context, namespace, network string, addresses []netip.Addr) attach.Reviewed {
			return desk.Reviewer(ctx).Claim(ctx, namespace, network, addresses)
		}, book: book}); err != nil {
		return nil, fmt.Errorf("watch claims: %w", err)
	}
	if err := admission.Add(m, cfg, o.Admission, b, log); err != nil {
		return nil, err
	}
	if err := m.Add(ipamClaimStarter{m, &ipamClaims{Client: m.GetClient(), live: m.GetAPIReader(), log: log}}); err != nil {
		return nil, fmt.Errorf("look for IPAMClaims: %w", err)
	}
	return m, m.Add(&garbage{
		Client: m.GetClient(), live: m.GetAPIReader(), graves: newGraveyard(o.Quarantine),
		events: recorder, log: log, said: map[ownerID]string{}, idle: map[types.UID]time.Time{}, marked: map[string]bool{}, forever: map[ownerID]bool{},
	})
}

// again is the pause before the API server is asked again.
const again = time.Second

// reached waits until the API server answers. That it does not know what the
// controller is for is an answer.
func reached(ctx context.Context, cfg *rest.Config, log *slog.Logger) (meta.RESTMapper, error) {
	told := ""
	for {
		mapper, err := defined(cfg)
		if err == nil || errors.Is(err, errUndefined) {
			return mapper, err
		}
		if err.Error() != told {
			told = err.Error()
			log.Warn("waiting for the API server", "err", err)
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// errUndefined is that definitions are missing.
var errUndefined = errors.New("apply the definitions first (deploy/crds)")

// defined asks the API server what it knows, and tells whether what the
// controller is for is among it.
func defined(cfg *rest.Config) (meta.RESTMapper, error) {
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", cfg.Host, err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", cfg.Host, err)
	}
	for _, kind := range []schema.GroupVersionKind{
		v1alpha1.GroupVersion.WithKind("Network"),
		v1alpha1.GroupVersion.WithKind("NodeNetwork"),
		nadv1.SchemeGroupVersion.WithKind("NetworkAttachmentDefinition"),
	} {
		_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("the API server does not know %s: %w", kind.GroupKind(), errUndefined)
		}
		if err != nil {
			return nil, fmt.Errorf("ask the API server what it knows: %w", err)
		}
	}
	return mapper, nil
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
