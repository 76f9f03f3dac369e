package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/node/variant"
)

var (
	bootstrapGroup = schema.GroupVersion{Group: "bootstrap.cluster.x-k8s.io", Version: "v1beta2"}
	infraGroup     = schema.GroupVersion{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta1"}
)

// baseOf is a MachineDeployment that asks for pools, and its templates.
func baseOf(t *testing.T, sets string) []client.Object {
	t.Helper()
	base := deployment("workers", 0, map[string]string{v1alpha1.PoolSetsAnnotation: sets, v1alpha1.PoolMaxAnnotation: "3", variant.Capacity + "cpu": "4", variant.Capacity + "memory": "8Gi"})
	spec := base.Object["spec"].(map[string]any)
	spec["clusterName"] = "prod"
	ref := func(g schema.GroupVersion, kind string) map[string]any {
		return map[string]any{"apiGroup": g.Group, "kind": kind, "name": "workers"}
	}
	spec["template"].(map[string]any)["spec"] = map[string]any{"infrastructureRef": ref(infraGroup, variant.VSphere), "bootstrap": map[string]any{"configRef": ref(bootstrapGroup, variant.Kubeadm)}}
	template := func(gvk schema.GroupVersionKind) client.Object {
		o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}}}}
		o.SetGroupVersionKind(gvk)
		o.SetNamespace("machines")
		o.SetName("workers")
		return o
	}
	return []client.Object{base, template(infraGroup.WithKind(variant.VSphere)), template(bootstrapGroup.WithKind(variant.Kubeadm))}
}

// made are the pools that there are, by their networks.
func (w *poolWorld) made() map[string]*unstructured.Unstructured {
	w.Helper()
	list, err := w.r.list(w.Context(), capi.WithKind("MachineDeployment"))
	must[int](w.T)(0, err)
	out := map[string]*unstructured.Unstructured{}
	for i := range list {
		if set := list[i].GetAnnotations()[v1alpha1.PoolMadeForAnnotation]; set != "" {
			out[set] = &list[i]
		}
	}
	return out
}

// Pools are made once, follow what they are made of, leave alone what whoever scales them writes, and end when nobody asks for them.
func TestPoolsAreMade(t *testing.T) {
	w := newPoolWorld(t, baseOf(t, "blue,storage;red")...)
	do := must[int](t)
	do(0, w.round(0))
	pools := w.made()
	if len(pools) != 2 || pools["blue,storage"] == nil || pools["red"] == nil {
		t.Fatalf("%v", pools)
	}
	if said := w.said(); !strings.Contains(said, "NodePoolMade made node pool workers-") {
		t.Error(said)
	}
	red := pools["red"]
	autoscaler := func(replicas int64) {
		t.Helper()
		do(0, w.Get(t.Context(), client.ObjectKeyFromObject(red), red))
		do(0, unstructured.SetNestedField(red.Object, replicas, "spec", "replicas"))
		do(0, w.Update(t.Context(), red))
	}
	autoscaler(2)
	for range 3 {
		do(0, w.round(poolsEvery))
	}
	if w.writes != 0 || w.replicas(red.GetName()) != 2 {
		t.Errorf("%d writes, %d replicas", w.writes, w.replicas(red.GetName()))
	}
	base := deployment("workers", 0, nil)
	annotate := func(key, value string) {
		t.Helper()
		do(0, w.Patch(t.Context(), base, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+key+`":"`+value+`"}}}`))))
	}
	annotate(variant.Capacity+"memory", "16384Mi")
	do(0, w.round(poolsEvery))
	if got := w.made()["red"]; got.GetAnnotations()[variant.Capacity+"memory"] != "16Gi" || w.replicas(red.GetName()) != 2 {
		t.Errorf("%v", got.GetAnnotations())
	}
	annotate(variant.Capacity+"memory", "500mb")
	do(0, w.round(poolsEvery))
	if said := w.said(); !strings.Contains(said, `Warning NodePoolWrong MachineDeployment machines/workers: `+variant.Capacity+`memory "500mb"`) || len(w.made()) != 2 {
		t.Errorf("%d pools, told %s", len(w.made()), said)
	}
	annotate(variant.Capacity+"memory", "8Gi")
	annotate(v1alpha1.PoolSetsAnnotation, "blue,storage")
	for range 2 {
		do(0, w.round(poolsEvery))
	}
	if got := w.made()["red"]; got == nil || got.GetAnnotations()[autoscalerMax] != "2" {
		t.Fatalf("a pool with machines that nobody asks for: %v", got)
	}
	autoscaler(0)
	do(0, w.round(poolsEvery))
	if got := w.made(); got["red"] != nil || got["blue,storage"] == nil {
		t.Errorf("%v", got)
	}
	left, err := w.r.list(t.Context(), bootstrapGroup.WithKind(variant.Kubeadm))
	if err != nil || len(left) != 2 {
		t.Errorf("%d templates are left, want the base's and the other pool's: %v", len(left), err)
	}
}

// A new node takes Pods when its networks were verified, and no sooner.
func TestStartupTaintGoes(t *testing.T) {
	w := newPoolWorld(t, baseOf(t, "blue,red")...)
	do := must[int](t)
	do(0, w.round(0))
	w.brings(w.made()["blue,red"].GetName(), "n1")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	patch := func(text string) {
		t.Helper()
		do(0, w.Patch(t.Context(), node, client.RawPatch(types.MergePatchType, []byte(text))))
	}
	patch(`{"metadata":{"creationTimestamp":"` + w.now.UTC().Format(time.RFC3339) + `"},"spec":{"taints":[{"key":"dedicated","effect":"NoSchedule"},{"key":"` + variant.StartupTaint + `","value":"unverified","effect":"NoSchedule"}]}}`)
	taints := func() int {
		t.Helper()
		do(0, w.Get(t.Context(), client.ObjectKeyFromObject(node), node))
		return len(node.Spec.Taints)
	}
	patch(`{"metadata":{"labels":{"` + v1alpha1.NetworkReadyPrefix + `blue":"ready"}}}`)
	do(0, w.round(poolsEvery))
	if taints() != 2 {
		t.Errorf("%v with one of two networks", node.Spec.Taints)
	}
	patch(`{"metadata":{"labels":{"` + v1alpha1.NetworkReadyPrefix + `red":"ready"}}}`)
	do(0, w.round(poolsEvery))
	if taints() != 1 || node.Spec.Taints[0].Key != "dedicated" {
		t.Errorf("%v with both", node.Spec.Taints)
	}
}
