package controller

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// cluster is an API server in memory with some objects.
func cluster(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	return fakeOf(scheme, objects...)
}

func fakeOf(scheme *runtime.Scheme, objects ...client.Object) client.WithWatch {
	domain := func(o client.Object) []string { d, _ := place(o); return []string{d} }
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.Network{}, &v1alpha1.IPPool{}, &v1alpha1.IPClaim{}).
		WithIndex(&v1alpha1.IPBlock{}, domainField, domain).
		WithIndex(&v1alpha1.IPAddress{}, domainField, domain).
		WithIndex(&v1alpha1.IPAddress{}, claimField, claimKey).
		WithIndex(&corev1.Pod{}, "spec.nodeName", func(o client.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }).
		Build()
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func reconcileBlue(t *testing.T, c client.Client) (ctrl.Result, *v1alpha1.Network, string) {
	t.Helper()
	recorder := events.NewFakeRecorder(10)
	r := &networks{Client: c, live: c, events: recorder, log: slog.New(slog.DiscardHandler), books: &books{c}}
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "blue"}})
	if err != nil {
		t.Fatal(err)
	}
	var net v1alpha1.Network
	if err := c.Get(t.Context(), types.NamespacedName{Name: "blue"}, &net); err != nil {
		t.Fatal(err)
	}
	close(recorder.Events)
	var said []string
	for e := range recorder.Events {
		said = append(said, e)
	}
	return result, &net, strings.Join(said, "; ")
}

func ready(net *v1alpha1.Network) metav1.Condition {
	if len(net.Status.Conditions) == 0 {
		return metav1.Condition{}
	}
	return net.Status.Conditions[0]
}

func TestReconcilePublishes(t *testing.T) {
	c := cluster(t, blue(), namespace("a", nil), namespace("b", nil))
	result, net, said := reconcileBlue(t, c)
	if ready(net).Status != metav1.ConditionTrue || net.Status.Namespaces != 2 || net.Status.ObservedGeneration != 3 || result.RequeueAfter != 0 {
		t.Errorf("status is %+v, result %+v", net.Status, result)
	}
	if net.Status.Subnets != "192.168.101.0/24, fd00:101::/64" || !strings.Contains(said, "Normal Published published in 2 namespaces") {
		t.Errorf("subnets %q, events %q", net.Status.Subnets, said)
	}
	var nads nadv1.NetworkAttachmentDefinitionList
	var pools v1alpha1.IPPoolList
	if err := c.List(t.Context(), &nads); err != nil || len(nads.Items) != 2 {
		t.Errorf("%d definitions, %v", len(nads.Items), err)
	}
	if err := c.List(t.Context(), &pools); err != nil || len(pools.Items) != 2 || pools.Items[0].Spec.Domain != "blue" {
		t.Errorf("pools %+v, %v", pools.Items, err)
	}
	version := net.ResourceVersion
	_, net, said = reconcileBlue(t, c)
	if net.ResourceVersion != version || said != "" {
		t.Errorf("a second look wrote something: %s, %q", net.ResourceVersion, said)
	}
}

// A definition that is not ours is met only live: the cache holds ours.
func TestReconcileMeetsForeigners(t *testing.T) {
	foreign := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Name: "blue", Namespace: "b"},
		Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: "theirs"}}
	c := cluster(t, blue(), namespace("a", nil), namespace("b", nil), foreign)
	result, net, said := reconcileBlue(t, c)
	got := ready(net)
	if got.Reason != reasonConflict || got.Status != metav1.ConditionFalse || !strings.Contains(got.Message, "b/blue") || net.Status.Namespaces != 1 || result.RequeueAfter != lookAgain {
		t.Errorf("status %+v, result %+v", net.Status, result)
	}
	if !strings.Contains(said, "Warning Conflict") {
		t.Errorf("events %q", said)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign); err != nil || foreign.Spec.Config != "theirs" {
		t.Errorf("the other's definition says %q, %v", foreign.Spec.Config, err)
	}
}

func TestReconcileRefusesNonsense(t *testing.T) {
	net := blue()
	net.Spec.Subnets[0].Ranges = []string{"192.168.101.9-192.168.101.2"}
	c := cluster(t, net, namespace("a", nil))
	_, got, _ := reconcileBlue(t, c)
	if cond := ready(got); cond.Reason != reasonInvalid || !strings.Contains(cond.Message, "192.168.101.0/24") {
		t.Errorf("condition %+v", cond)
	}
	var pools v1alpha1.IPPoolList
	if err := c.List(t.Context(), &pools); err != nil || len(pools.Items) != 0 {
		t.Errorf("pools %v, %v", pools.Items, err)
	}
}

// A removed subnet's pool stays while an address of it is in use.
func TestReconcileDrains(t *testing.T) {
	net := blue()
	old := pool(net, v1alpha1.Subnet{CIDR: "10.0.0.0/24"})
	b := block("blue", "10.0.0.0/26", 3)
	c := cluster(t, net, namespace("a", nil), old, &b)
	_, got, _ := reconcileBlue(t, c)
	if !strings.Contains(ready(got).Message, "removed subnets of "+old.Name) {
		t.Errorf("condition %+v", ready(got))
	}
	if err := c.Delete(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	reconcileBlue(t, c)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(old), old); !apierrors.IsNotFound(err) {
		t.Errorf("the empty pool is still there: %v", err)
	}
}

func TestSettle(t *testing.T) {
	lost := apierrors.NewConflict(v1alpha1.Resource("networks"), "blue", nil)
	if result, err := settle(ctrl.Result{}, lost); err != nil || result.RequeueAfter == 0 {
		t.Errorf("a lost write: %+v, %v", result, err)
	}
	if _, err := settle(ctrl.Result{}, context.Canceled); err == nil {
		t.Error("an error was swallowed")
	}
}
