package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/node/variant"
)

var capi = schema.GroupVersion{Group: "cluster.x-k8s.io", Version: "v1beta2"}

// poolWorld is a cluster with MachineDeployments, and Cluster API of which the
// test plays the parts.
type poolWorld struct {
	*testing.T
	client.Client
	r      *nodePools
	events *events.FakeRecorder
	now    time.Time
	calls  int // that may be made until the controller is killed; -1 for all
	writes int
}

var errKilled = errors.New("killed")

func newPoolWorld(t *testing.T, objects ...client.Object) *poolWorld {
	w := &poolWorld{T: t, now: time.Unix(1_800_000_000, 0), calls: -1, events: events.NewFakeRecorder(100)}
	may := func() error {
		if w.calls == 0 {
			return errKilled
		}
		w.calls--
		w.writes++
		return nil
	}
	w.Client = cluster(t, objects...)
	c := interceptor.NewClient(w.Client.(client.WithWatch), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := may(); err != nil {
				return err
			}
			return c.Patch(ctx, o, p, opts...)
		},
		// The scale subresource of a definition, which the API server in memory has not.
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
			if err := may(); err != nil {
				return err
			}
			data, _ := p.Data(o)
			var asked struct {
				Metadata struct{ ResourceVersion string }
				Spec     struct{ Replicas int64 }
			}
			if err := json.Unmarshal(data, &asked); err != nil || name != "scale" {
				t.Errorf("%s of %s: %v", data, name, err)
			}
			var is unstructured.Unstructured
			is.SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), &is); err != nil {
				return err
			}
			if is.GetResourceVersion() != asked.Metadata.ResourceVersion {
				return apierrors.NewConflict(schema.GroupResource{Resource: "machinedeployments"}, o.GetName(), errors.New("changed"))
			}
			if err := unstructured.SetNestedField(is.Object, asked.Spec.Replicas, "spec", "replicas"); err != nil {
				return err
			}
			return c.Update(ctx, &is)
		},
	})
	w.start(c)
	return w
}

// start begins with a controller that remembers nothing.
func (w *poolWorld) start(c client.Client) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{capi, infraGroup, bootstrapGroup})
	mapper.Add(capi.WithKind("MachineDeployment"), meta.RESTScopeNamespace)
	mapper.Add(capi.WithKind("Machine"), meta.RESTScopeNamespace)
	mapper.Add(infraGroup.WithKind(variant.VSphere), meta.RESTScopeNamespace)
	mapper.Add(bootstrapGroup.WithKind(variant.Kubeadm), meta.RESTScopeNamespace)
	w.r = &nodePools{Client: c, live: c, mapper: mapper, events: w.events, log: slog.New(slog.DiscardHandler), now: func() time.Time { return w.now },
		still: map[string]numbers{}, unused: map[string]time.Time{}, memory: newMemory()}
}

func deployment(name string, replicas int, annotations map[string]string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"replicas": int64(replicas), "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"node-role.kubernetes.io/edge": ""}}, "spec": map[string]any{}}}}}
	o.SetGroupVersionKind(capi.WithKind("MachineDeployment"))
	o.SetNamespace("machines")
	o.SetName(name)
	o.SetUID(types.UID(name))
	o.SetAnnotations(annotations)
	return o
}

func asks(networks string) map[string]string {
	return map[string]string{v1alpha1.PoolNetworksAnnotation: networks, v1alpha1.PoolMaxAnnotation: "2", v1alpha1.PoolIdleAnnotation: "1m"}
}

// stuckPod names networks and has the affinity that admission gives it.
func stuckPod(name string, networks ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: types.UID(name), Annotations: map[string]string{attach.SelectionAnnotation: strings.Join(networks, ",")}}}
	var all []corev1.NodeSelectorRequirement
	for _, n := range networks {
		all = append(all, corev1.NodeSelectorRequirement{Key: v1alpha1.NetworkReadyPrefix + n, Operator: corev1.NodeSelectorOpIn, Values: []string{v1alpha1.NetworkReadyValue}})
	}
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: all}}}}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	return p
}

func (w *poolWorld) round(after time.Duration) error {
	w.now = w.now.Add(after)
	return w.r.round(w.Context())
}

func (w *poolWorld) replicas(name string) int64 {
	w.Helper()
	o := deployment(name, 0, nil)
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		w.Fatal(err)
	}
	n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	return n
}

// brings makes a Machine of a MachineDeployment, and its node.
func (w *poolWorld) brings(deployment, name string, networks ...string) {
	w.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"nodeRef": map[string]any{"name": name}}}}
	o.SetGroupVersionKind(capi.WithKind("Machine"))
	o.SetNamespace("machines")
	o.SetName(name)
	o.SetLabels(map[string]string{machinePool: deployment})
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, net := range networks {
		n.Labels[v1alpha1.NetworkReadyPrefix+net] = v1alpha1.NetworkReadyValue
	}
	must[int](w.T)(0, errors.Join(w.Create(w.Context(), o), w.Create(w.Context(), n)))
}

func (w *poolWorld) said() (all string) {
	for {
		select {
		case e := <-w.events.Events:
			all += e + "\n"
		default:
			return all
		}
	}
}

// A Pod that only a pool of no machines can serve gets one, in exactly that
// pool, and it goes when nobody uses it any more.
func TestNodePoolFromZeroAndBack(t *testing.T) {
	autoscaled := asks("blue")
	autoscaled[autoscalerMax] = "3"
	w := newPoolWorld(t, deployment("md-blue", 0, asks("blue")), deployment("md-both", 0, asks("blue, red")), deployment("md-red", 0, asks("red")),
		deployment("md-ca", 0, autoscaled), deployment("md-plain", 0, nil), stuckPod("web", "blue"), stuckPod("held", "green"))
	do := must[int](t)
	do(0, w.round(0))
	said := w.said()
	for name, want := range map[string]int64{"md-blue": 1, "md-both": 0, "md-red": 0, "md-ca": 0, "md-plain": 0} {
		if got := w.replicas(name); got != want {
			t.Errorf("%s has %d replicas, want %d", name, got, want)
		}
	}
	if !strings.Contains(said, "Normal NodePoolGrows MachineDeployment machines/md-blue goes from 0 to 1 replicas: its nodes have blue") ||
		!strings.Contains(said, "Warning NodePoolWrong MachineDeployment machines/md-ca: "+autoscalerMax+` "3" leaves it to the Cluster Autoscaler`) {
		t.Errorf("told: %s", said)
	}
	for range 20 { // its machine is on its way; its node is there, its network not yet
		do(0, w.round(poolsEvery))
	}
	w.brings("md-blue", "n1")
	do(0, w.round(poolsEvery))
	if w.writes != 1 || !strings.Contains(w.said(), "NodePoolWaits pool machines/md-blue brings a node: 0 of 1 have blue") {
		t.Errorf("%d writes", w.writes)
	}
	do(0, w.Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+v1alpha1.NetworkReadyPrefix+`blue":"ready"}}}`))))
	pod := stuckPod("web", "blue")
	do(0, w.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
	pod.Spec.NodeName = "n1"
	do(0, w.Update(t.Context(), pod))
	for range 40 {
		do(0, w.round(poolsEvery))
	}
	if w.writes != 1 {
		t.Errorf("%d writes while the Pod runs", w.writes)
	}
	do(0, w.Delete(t.Context(), pod))
	for range 20 {
		do(0, w.round(poolsEvery))
	}
	if got := w.replicas("md-blue"); got != 0 || w.writes != 4 {
		t.Errorf("%d replicas after %d writes, want 0 after 4: close, choose, lower", got, w.writes)
	}
}

// Killed between every two calls, with nothing remembered, it ends the same:
// one machine fewer, and the one that was closed is the one that is chosen.
func TestNodePoolShrinksThroughCrashes(t *testing.T) {
	for calls := range 4 {
		for comes := range 2 { // a Pod comes after the crash
			t.Run(fmt.Sprint(calls, " calls, ", comes, " Pods"), func(t *testing.T) {
				w := newPoolWorld(t, deployment("md", 2, asks("blue")))
				w.brings("md", "n1", "blue")
				w.brings("md", "n2", "blue")
				busy := stuckPod("busy", "blue")
				busy.Spec.NodeName = "n2"
				must[int](t)(0, w.Create(t.Context(), busy))
				w.calls = calls
				for range 20 {
					if err := w.round(poolsEvery); err != nil && !errors.Is(err, errKilled) {
						t.Fatal(err)
					}
				}
				lowered := w.replicas("md") == 1
				w.calls = -1
				w.start(w.r.Client)
				if comes > 0 {
					pod := stuckPod("late", "blue")
					pod.Spec.NodeName = "n1" // bound before it was closed
					must[int](t)(0, w.Create(t.Context(), pod))
				}
				for range 40 {
					must[int](t)(0, w.round(poolsEvery))
				}
				var n1 corev1.Node
				must[int](t)(0, w.Get(t.Context(), types.NamespacedName{Name: "n1"}, &n1))
				if want := int64(2 - max(1-comes, map[bool]int{true: 1}[lowered])); w.replicas("md") != want {
					t.Errorf("%d replicas, want %d", w.replicas("md"), want)
				}
				if open := comes > 0 && !lowered; open == n1.Spec.Unschedulable {
					t.Errorf("unschedulable is %t", n1.Spec.Unschedulable)
				}
			})
		}
	}
}

// Of two controllers that have read the same, one scales.
func TestNodePoolIsScaledOnce(t *testing.T) {
	w := newPoolWorld(t, deployment("md", 0, asks("blue")), stuckPod("web", "blue"))
	found, err := w.r.observe(t.Context())
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	for range 2 {
		if err := w.r.scale(t.Context(), found[0], int(w.replicas("md"))+1); err != nil {
			t.Error(err)
		}
	}
	if got := w.replicas("md"); got != 1 {
		t.Errorf("%d replicas", got)
	}
}

func TestParsePool(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"min":      {v1alpha1.PoolMinAnnotation, "one", `pool-min "one" is no number of nodes`},
		"max":      {v1alpha1.PoolMaxAnnotation, "", `pool-max "" is not the most nodes`},
		"idle":     {v1alpha1.PoolIdleAnnotation, "10", `pool-idle "10" is no duration`},
		"networks": {v1alpha1.PoolNetworksAnnotation, " ,", "names no Network"},
		"memory":   {autoscalerCapacity + "memory", "500mb", `memory "500mb"`},
		"paused":   {machinePaused, "", "stops it"},
	} {
		t.Run(name, func(t *testing.T) {
			a := asks("blue")
			a[c.key] = c.value
			if _, err := parsePool(deployment("md", 0, a)); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "To fix: ") {
				t.Errorf("%v", err)
			}
		})
	}
	owned := deployment("md", 0, asks("blue"))
	owned.SetLabels(map[string]string{topologyOwned: ""})
	if _, err := parsePool(owned); err == nil || !strings.Contains(err.Error(), "spec.topology.workers.machineDeployments[]") {
		t.Errorf("%v", err)
	}
}
