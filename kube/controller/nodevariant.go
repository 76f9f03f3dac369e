package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/node/variant"
)

// ReasonNodePoolMade is on a MachineDeployment of which a pool was made.
const ReasonNodePoolMade = "NodePoolMade"

// Where a MachineDeployment refers to its templates.
var (
	infraAt     = []string{"spec", "template", "spec", "infrastructureRef"}
	bootstrapAt = []string{"spec", "template", "spec", "bootstrap", "configRef"}
)

// breed makes the pools that MachineDeployments ask for as they should be, and ends those that nobody asks for any more. What whoever scales a pool
// writes is never touched: spec.replicas is set when it is made.
func (r *nodePools) breed(ctx context.Context, deployments, machines []unstructured.Unstructured) error {
	made := map[types.NamespacedName]*unstructured.Unstructured{}
	for i := range deployments {
		if o := &deployments[i]; o.GetLabels()[v1alpha1.PoolLabel] == o.GetName() && o.GetLabels()[v1alpha1.PoolBaseLabel] != "" {
			made[client.ObjectKeyFromObject(o)] = o
		}
	}
	keep := map[types.NamespacedName]bool{} // bases that are not understood at the moment
	for i := range deployments {
		base := &deployments[i]
		request, asks, err := variant.Parse(base)
		if !asks || base.GetDeletionTimestamp() != nil {
			continue
		}
		var pools []variant.Pool
		if err == nil {
			pools, err = r.variants(ctx, base, request)
		}
		if err != nil {
			keep[client.ObjectKeyFromObject(base)] = true
			r.tell(base, corev1.EventTypeWarning, ReasonNodePoolWrong, err.Error())
			continue
		}
		for _, p := range pools {
			key := client.ObjectKeyFromObject(p.Deployment)
			err := r.establish(ctx, base, p, made[key])
			if apierrors.IsForbidden(err) {
				err = fmt.Errorf("%w. To fix: name namespace %s in controller.poolNamespaces of the chart", err, base.GetNamespace())
			}
			if err != nil {
				r.tell(base, corev1.EventTypeWarning, ReasonNodePoolWrong, err.Error())
				return err
			}
			delete(made, key)
		}
	}
	for key, o := range made {
		if keep[types.NamespacedName{Namespace: key.Namespace, Name: o.GetLabels()[v1alpha1.PoolBaseLabel]}] || o.GetDeletionTimestamp() != nil {
			continue
		}
		if err := r.end(ctx, o, machines); err != nil {
			return err
		}
	}
	return nil
}

// variants reads what a MachineDeployment refers to, and gives its pools.
func (r *nodePools) variants(ctx context.Context, base *unstructured.Unstructured, request variant.Request) ([]variant.Pool, error) {
	infra, err := r.refer(ctx, base, variant.VSphere, infraAt...)
	if err != nil {
		return nil, err
	}
	bootstrap, err := r.refer(ctx, base, variant.Kubeadm, bootstrapAt...)
	if err != nil {
		return nil, err
	}
	return request.Make(variant.Source{Base: base, Infra: infra, Bootstrap: bootstrap})
}

// refer reads the template at a reference, nil for another kind: v1beta1 has its version, v1beta2 its group.
func (r *nodePools) refer(ctx context.Context, o *unstructured.Unstructured, kind string, at ...string) (*unstructured.Unstructured, error) {
	ref, _, _ := unstructured.NestedStringMap(o.Object, at...)
	if ref["kind"] != kind {
		return nil, nil
	}
	group := ref["apiGroup"]
	if group == "" {
		group, _, _ = strings.Cut(ref["apiVersion"], "/")
	}
	m, err := r.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("MachineDeployment %s/%s: the API server does not know %s of group %s. To fix: install the provider, or correct %s", o.GetNamespace(), o.GetName(), kind, group, strings.Join(at, "."))
	}
	if err != nil {
		return nil, fmt.Errorf("ask the API server for %s: %w", kind, err)
	}
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(m.GroupVersionKind)
	if err := r.live.Get(ctx, client.ObjectKey{Namespace: o.GetNamespace(), Name: ref["name"]}, found); err != nil {
		if apierrors.IsForbidden(err) {
			err = fmt.Errorf("%w. To fix: name namespace %s in controller.poolNamespaces of the chart", err, o.GetNamespace())
		}
		return nil, fmt.Errorf("MachineDeployment %s/%s: read %s %s: %w", o.GetNamespace(), o.GetName(), kind, ref["name"], err)
	}
	return found, nil
}

// establish makes one pool so. Have is nil when there is none.
func (r *nodePools) establish(ctx context.Context, base *unstructured.Unstructured, p variant.Pool, have *unstructured.Unstructured) error {
	want := p.Deployment
	if have != nil && have.GetDeletionTimestamp() != nil {
		return nil
	}
	change, err := difference(want, have)
	if err != nil || change == nil {
		return err
	}
	for _, t := range p.Templates {
		if err := r.Create(ctx, t); err != nil && !apierrors.IsAlreadyExists(err) { // its name says what is in it
			return fmt.Errorf("make %s %s: %w", t.GetKind(), t.GetName(), err)
		}
	}
	if have == nil {
		if err := r.Create(ctx, want); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make MachineDeployment %s: %w", want.GetName(), err)
		}
		r.log.Info("made a node pool", "pool", want.GetNamespace()+"/"+want.GetName(), "networks", p.Networks)
		r.tell(base, corev1.EventTypeNormal, ReasonNodePoolMade, fmt.Sprintf("made node pool %s: its nodes have %s", want.GetName(), strings.Join(p.Networks, ",")))
		return nil
	}
	r.log.Info("changed a node pool", "pool", want.GetNamespace()+"/"+want.GetName())
	return r.patch(ctx, have.DeepCopy(), string(change))
}

// difference is the merge patch that makes a pool so; nil for none.
func difference(want, have *unstructured.Unstructured) ([]byte, error) {
	if have == nil {
		return json.Marshal(want)
	}
	want = want.DeepCopy()
	unstructured.RemoveNestedField(want.Object, "spec", "replicas")
	annotations := map[string]any{}
	for k, v := range want.GetAnnotations() {
		annotations[k] = v
	}
	changed := !covers(have.Object, want.Object)
	for _, key := range variant.OwnKeys {
		_, is := have.GetAnnotations()[key]
		if _, wanted := annotations[key]; is && !wanted {
			annotations[key], changed = nil, true
		}
	}
	if !changed {
		return nil, nil
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"labels": want.GetLabels(), "annotations": annotations}, "spec": want.Object["spec"]})
}

// covers tells whether all that is wanted is there; what else is there is others'.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, _ := have.(map[string]any)
		for k, v := range want {
			if !covers(have[k], v) {
				return false
			}
		}
		return true
	case []any:
		have, _ := have.([]any)
		if len(have) != len(want) {
			return false
		}
		for i := range want {
			if !covers(have[i], want[i]) {
				return false
			}
		}
		return true
	}
	return fmt.Sprint(have) == fmt.Sprint(want)
}

// end lets a pool that nobody asks for get no larger, and removes it when it has no machines.
func (r *nodePools) end(ctx context.Context, o *unstructured.Unstructured, machines []unstructured.Unstructured) error {
	replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	left := replicas > 0
	for i := range machines {
		left = left || machines[i].GetNamespace() == o.GetNamespace() && machines[i].GetLabels()[machinePool] == o.GetName()
	}
	if !left {
		r.log.Info("removed a node pool that nobody asks for", "pool", o.GetNamespace()+"/"+o.GetName())
		at := o.GetResourceVersion() // it may just have been made larger
		if err := r.Delete(ctx, o, client.Preconditions{ResourceVersion: &at}); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("remove MachineDeployment %s: %w", o.GetName(), err))
		}
		return r.removeTemplates(ctx, o)
	}
	low, high := autoscalerMin, autoscalerMax
	if _, own := o.GetAnnotations()[v1alpha1.PoolNetworksAnnotation]; own {
		low, high = v1alpha1.PoolMinAnnotation, v1alpha1.PoolMaxAnnotation
	}
	most := strconv.FormatInt(max(1, replicas), 10)
	if o.GetAnnotations()[low] == "0" && o.GetAnnotations()[high] == most {
		return nil
	}
	return r.patch(ctx, o.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:"0",%q:%q}}}`, low, high, most))
}

// removeTemplates removes what was made for a pool. A controller that is killed before leaves them: nobody reads them.
func (r *nodePools) removeTemplates(ctx context.Context, o *unstructured.Unstructured) error {
	for _, at := range []struct {
		kind string
		path []string
	}{{variant.VSphere, infraAt}, {variant.Kubeadm, bootstrapAt}} {
		t, err := r.refer(ctx, o, at.kind, at.path...)
		if t == nil || t.GetLabels()[v1alpha1.PoolLabel] != o.GetName() {
			if client.IgnoreNotFound(err) != nil {
				return err
			}
			continue
		}
		if err := client.IgnoreNotFound(r.Delete(ctx, t)); err != nil {
			return fmt.Errorf("remove %s %s: %w", t.GetKind(), t.GetName(), err)
		}
	}
	return nil
}

// open takes the startup taint from new nodes of pools whose networks were verified.
func (r *nodePools) open(ctx context.Context, deployments, machines []unstructured.Unstructured) error {
	networks := map[types.NamespacedName][]string{}
	for i := range deployments {
		if list := deployments[i].GetAnnotations()[v1alpha1.PoolMadeForAnnotation]; list != "" {
			networks[client.ObjectKeyFromObject(&deployments[i])] = strings.Split(list, ",")
		}
	}
	for i := range machines {
		m := &machines[i]
		set := networks[types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetLabels()[machinePool]}]
		name, _, _ := unstructured.NestedString(m.Object, "status", "nodeRef", "name")
		if set == nil || name == "" {
			continue
		}
		var n corev1.Node
		if err := r.Get(ctx, types.NamespacedName{Name: name}, &n); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return fmt.Errorf("read Node %s: %w", name, err)
		}
		if err := r.openNode(ctx, &n, m, set); err != nil {
			return err
		}
	}
	return nil
}

func (r *nodePools) openNode(ctx context.Context, n *corev1.Node, machine *unstructured.Unstructured, set []string) error {
	rest := []corev1.Taint{}
	for _, t := range n.Spec.Taints {
		if t.Key != variant.StartupTaint {
			rest = append(rest, t)
		}
	}
	if len(rest) == len(n.Spec.Taints) {
		return nil
	}
	var missing []string
	for _, name := range set {
		if !verified(n, []string{name}) {
			missing = append(missing, name)
		}
	}
	open, trouble := variant.Opens(missing, set, r.now().Sub(n.CreationTimestamp.Time))
	if trouble != "" {
		r.tell(machine, corev1.EventTypeWarning, ReasonNodePoolWrong, "node "+n.Name+" "+trouble)
	}
	if !open {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": n.ResourceVersion}, "spec": map[string]any{"taints": rest}})
	if err != nil {
		return err
	}
	if err := r.Patch(ctx, n.DeepCopy(), client.RawPatch(types.MergePatchType, patch)); err != nil && !apierrors.IsConflict(err) { // then the next round looks again
		return client.IgnoreNotFound(fmt.Errorf("take the startup taint from node %s: %w", n.Name, err))
	}
	r.log.Info("a new node takes Pods", "node", n.Name, "networks", set, "missing", missing)
	return nil
}
