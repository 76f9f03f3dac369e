package controller

import (
	"log/slog"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// An IPAMClaim, as KubeVirt's ipam-extensions makes it, has an IPClaim of its
// name, and says what that has.
func TestIPAMClaimsBecomeIPClaims(t *testing.T) {
	scheme, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	scheme.AddKnownTypeWithName(ipamClaimKind, &unstructured.Unstructured{})
	standard := newIPAMClaim()
	standard.SetNamespace("a")
	standard.SetName("vm.blue")
	standard.SetUID("s1")
	standard.Object["spec"] = map[string]any{"network": "tenant-blue", "interface": "pod1234"}
	other := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "other"}, Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: "{"}}
	blue := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "blue"}, Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: `{"name":"tenant-blue"}`}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.IPClaim{}, standard.DeepCopy()).WithObjects(standard, other).Build()
	r := &ipamClaims{Client: c, live: c, log: slog.New(slog.DiscardHandler)}
	name := types.NamespacedName{Namespace: "a", Name: "vm.blue"}
	look := func() ctrl.Result {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: name})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if look().RequeueAfter == 0 {
		t.Error("a network that is not there yet is not looked for again")
	}
	if err := c.Create(t.Context(), blue); err != nil {
		t.Fatal(err)
	}
	look()
	var claim v1alpha1.IPClaim
	if err := c.Get(t.Context(), name, &claim); err != nil {
		t.Fatal(err)
	}
	if claim.Spec.Network != "a/blue" || claim.Spec.Interface != "pod1234" || len(claim.OwnerReferences) != 1 || claim.OwnerReferences[0].UID != "s1" {
		t.Errorf("made %+v", claim)
	}
	claim.Status.Addresses = []v1alpha1.ClaimedAddress{{Address: "10.0.0.5/24", Domain: "blue"}}
	claim.Status.Pod = "virt-launcher-1"
	if err := c.Status().Update(t.Context(), &claim); err != nil {
		t.Fatal(err)
	}
	look()
	told := newIPAMClaim()
	if err := c.Get(t.Context(), name, told); err != nil {
		t.Fatal(err)
	}
	ips, _, _ := unstructured.NestedStringSlice(told.Object, "status", "ips")
	pod, _, _ := unstructured.NestedString(told.Object, "status", "ownerPod", "name")
	if len(ips) != 1 || ips[0] != "10.0.0.5/24" || pod != "virt-launcher-1" {
		t.Errorf("told %v", told.Object["status"])
	}
	version := told.GetResourceVersion()
	look()
	if err := c.Get(t.Context(), name, told); err != nil || told.GetResourceVersion() != version {
		t.Errorf("written again without need, %v", err)
	}
}
