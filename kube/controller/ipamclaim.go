package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// ipamClaimKind is the claim of the Network Plumbing Working Group
// (k8snetworkplumbingwg/ipamclaims), which KubeVirt's ipam-extensions makes.
var ipamClaimKind = schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1alpha1", Kind: "IPAMClaim"}

// lookForKind is how often it is looked whether IPAMClaims are defined.
const lookForKind = 30 * time.Second

// ipamClaims makes an IPClaim of each IPAMClaim, and writes back what it has.
type ipamClaims struct {
	client.Client
	live client.Reader
	log  *slog.Logger
}

// ipamClaimStarter waits until IPAMClaims are defined, and watches them then:
// most clusters have none.
type ipamClaimStarter struct {
	m ctrl.Manager
	r *ipamClaims
}

// NeedLeaderElection makes the manager run one of them only.
func (s ipamClaimStarter) NeedLeaderElection() bool { return true }

// Start looks until ctx ends.
func (s ipamClaimStarter) Start(ctx context.Context) error {
	for {
		_, err := s.m.GetRESTMapper().RESTMapping(ipamClaimKind.GroupKind(), ipamClaimKind.Version)
		if err == nil {
			return addIPAMClaims(s.m, s.r)
		}
		if !meta.IsNoMatchError(err) {
			s.r.log.Warn("look whether IPAMClaims are defined", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookForKind):
		}
	}
}

func addIPAMClaims(m ctrl.Manager, r *ipamClaims) error {
	return ctrl.NewControllerManagedBy(m).Named("ipamclaim").
		For(newIPAMClaim()).
		Watches(&v1alpha1.IPClaim{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
		})).
		Complete(r)
}

func newIPAMClaim() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(ipamClaimKind)
	return u
}

// Reconcile looks at one IPAMClaim. The IPClaim goes with it, as its owner.
func (r *ipamClaims) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return settle(r.reconcile(ctx, req.NamespacedName))
}

func (r *ipamClaims) reconcile(ctx context.Context, name types.NamespacedName) (ctrl.Result, error) {
	standard := newIPAMClaim()
	if err := r.live.Get(ctx, name, standard); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	var claim v1alpha1.IPClaim
	err := r.Get(ctx, name, &claim)
	if apierrors.IsNotFound(err) && standard.GetDeletionTimestamp() == nil {
		return r.make(ctx, standard)
	}
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return ctrl.Result{}, r.tell(ctx, standard, &claim)
}

// make creates the IPClaim of an IPAMClaim.
func (r *ipamClaims) make(ctx context.Context, standard *unstructured.Unstructured) (ctrl.Result, error) {
	network, _, _ := unstructured.NestedString(standard.Object, "spec", "network")
	ifName, _, _ := unstructured.NestedString(standard.Object, "spec", "interface")
	ref, err := r.definition(ctx, standard.GetNamespace(), network)
	if err != nil {
		return ctrl.Result{}, err
	}
	if ref == "" { // perhaps it comes later
		return ctrl.Result{RequeueAfter: 10 * time.Second}, nil
	}
	claim := &v1alpha1.IPClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: standard.GetNamespace(), Name: standard.GetName(),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: standard.GetAPIVersion(), Kind: standard.GetKind(), Name: standard.GetName(), UID: standard.GetUID()}}},
		Spec: v1alpha1.IPClaimSpec{Network: ref, Interface: ifName},
	}
	if err := r.Create(ctx, claim); err != nil && !apierrors.IsAlreadyExists(err) {
		return ctrl.Result{}, fmt.Errorf("make IPClaim %s/%s of the IPAMClaim: %w", claim.Namespace, claim.Name, err)
	}
	return ctrl.Result{}, nil
}

// definition finds the network that an IPAMClaim means: the definition of that
// name, as namespace/name or alone, or one whose configuration has that name.
func (r *ipamClaims) definition(ctx context.Context, namespace, network string) (string, error) {
	if strings.Contains(network, "/") {
		return network, nil
	}
	var all nadv1.NetworkAttachmentDefinitionList
	if err := r.live.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return "", fmt.Errorf("look for the network %s in namespace %s: %w", network, namespace, err)
	}
	slices.SortFunc(all.Items, func(x, y nadv1.NetworkAttachmentDefinition) int { return strings.Compare(x.Name, y.Name) })
	found := ""
	for _, d := range all.Items {
		var config struct{ Name string }
		switch {
		case d.Name == network:
			return namespace + "/" + d.Name, nil
		case found == "" && json.Unmarshal([]byte(d.Spec.Config), &config) == nil && config.Name == network:
			found = namespace + "/" + d.Name
		}
	}
	return found, nil
}

// tell writes what the IPClaim has into the IPAMClaim's status.
func (r *ipamClaims) tell(ctx context.Context, standard *unstructured.Unstructured, claim *v1alpha1.IPClaim) error {
	c, err := ipam.ClaimFrom(claim)
	if err != nil {
		return nil // its own status says so
	}
	ips := make([]string, len(c.Has))
	for i, a := range c.Has {
		ips[i] = a.Address.String()
	}
	had, _, _ := unstructured.NestedStringSlice(standard.Object, "status", "ips")
	pod, _, _ := unstructured.NestedString(standard.Object, "status", "ownerPod", "name")
	if slices.Equal(had, ips) && pod == claim.Status.Pod {
		return nil
	}
	var owner any
	if claim.Status.Pod != "" {
		owner = map[string]string{"name": claim.Status.Pod}
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": standard.GetUID()}, "status": map[string]any{"ips": ips, "ownerPod": owner}})
	if err != nil {
		return fmt.Errorf("render the status of IPAMClaim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	if err := r.Status().Patch(ctx, standard, client.RawPatch(types.MergePatchType, body)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("write the status of IPAMClaim %s/%s: %w", claim.Namespace, claim.Name, err))
	}
	return nil
}
