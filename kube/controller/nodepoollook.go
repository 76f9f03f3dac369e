package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	nodepool "github.com/tsunagu-net/tsunagu/node/pool"
)

// observe reads the pools: MachineDeployments first, so that a Machine that is
// there already is never missing from a number that is newer.
func (r *nodePools) observe(ctx context.Context) ([]*machineDeployment, error) {
	kind, ok, err := r.machineKind("MachineDeployment")
	if err != nil || !ok {
		return nil, err
	}
	deployments, err := r.list(ctx, kind)
	if err != nil {
		return nil, err
	}
	if kind, ok, err = r.machineKind("Machine"); err != nil || !ok {
		return nil, err
	}
	var found []*machineDeployment
	asked := false
	for i := range deployments {
		o := &deployments[i]
		asked = asked || o.GetAnnotations()[v1alpha1.PoolSetsAnnotation] != "" || o.GetLabels()[v1alpha1.PoolBaseLabel] != ""
		m, err := parsePool(o)
		switch {
		case o.GetDeletionTimestamp() != nil:
		case err != nil:
			r.tell(o, corev1.EventTypeWarning, ReasonNodePoolWrong, err.Error())
		case m != nil:
			found = append(found, m)
		}
	}
	if len(found) == 0 && !asked {
		return nil, nil
	}
	machines, err := r.list(ctx, kind)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.breed(ctx, deployments, machines), r.open(ctx, deployments, machines)); err != nil {
		r.log.Error("make node pools", "err", err) // those that are there are scaled all the same
	}
	nodes := map[string]bool{}
	for _, m := range found {
		if err := r.look(ctx, m, machines); err != nil {
			return nil, err
		}
		for _, n := range m.Nodes {
			nodes[n.Name] = true
		}
	}
	maps.DeleteFunc(r.unused, func(name string, _ time.Time) bool { return !nodes[name] })
	return found, nil
}

// look fills in a pool's machines and nodes.
func (r *nodePools) look(ctx context.Context, m *machineDeployment, machines []unstructured.Unstructured) error {
	for i := range machines {
		o := &machines[i]
		if o.GetNamespace() != m.object.GetNamespace() || o.GetLabels()[machinePool] != m.object.GetName() || o.GetDeletionTimestamp() != nil {
			continue
		}
		m.Machines++
		name, _, _ := unstructured.NestedString(o.Object, "status", "nodeRef", "name")
		if name == "" {
			continue
		}
		var node corev1.Node
		err := r.live.Get(ctx, types.NamespacedName{Name: name}, &node)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("read Node %s: %w", name, err)
		}
		if err != nil {
			continue
		}
		m.machines[name] = o
		if verified(&node, m.Networks) {
			m.Ready++
		}
		n, err := r.node(ctx, &node, o)
		if err != nil {
			return err
		}
		m.Nodes = append(m.Nodes, n)
	}
	is := numbers{m.Replicas, m.Ready, r.now()}
	if was, ok := r.still[m.Name]; ok && was.replicas == is.replicas && was.ready == is.ready {
		is = was
	}
	r.still[m.Name] = is
	m.Still = r.now().Sub(is.since)
	return nil
}

// verified tells whether a node has all networks.
func verified(n *corev1.Node, networks []string) bool {
	for _, name := range networks {
		if n.Labels[v1alpha1.NetworkReadyPrefix+name] != v1alpha1.NetworkReadyValue {
			return false
		}
	}
	return true
}

// node looks at one, and who uses it.
func (r *nodePools) node(ctx context.Context, n *corev1.Node, machine *unstructured.Unstructured) (nodepool.Node, error) {
	var pods corev1.PodList
	if err := r.live.List(ctx, &pods, client.MatchingFields{"spec.nodeName": n.Name}); err != nil {
		return nodepool.Node{}, fmt.Errorf("list the Pods of node %s: %w", n.Name, err)
	}
	out := nodepool.Node{Name: n.Name, Chosen: machine.GetAnnotations()[machineDelete] != "", Closed: n.Spec.Unschedulable}
	_, out.Leaving = n.Annotations[v1alpha1.PoolLeavingAnnotation]
	for i := range pods.Items {
		out.Busy = out.Busy || uses(&pods.Items[i])
	}
	if since, ok := r.unused[n.Name]; !ok || out.Busy {
		r.unused[n.Name] = r.now()
	} else {
		out.Unused = r.now().Sub(since)
	}
	return out, nil
}

// machineKind is the kind as the API server prefers it; ok is false where there is no Cluster API.
func (r *nodePools) machineKind(kind string) (gvk schema.GroupVersionKind, ok bool, err error) {
	m, err := r.mapper.RESTMapping(schema.GroupKind{Group: "cluster.x-k8s.io", Kind: kind})
	if meta.IsNoMatchError(err) {
		return gvk, false, nil
	}
	if err != nil {
		return gvk, false, fmt.Errorf("ask the API server for %s: %w", kind, err)
	}
	return m.GroupVersionKind, true, nil
}

func (r *nodePools) list(ctx context.Context, gvk schema.GroupVersionKind) ([]unstructured.Unstructured, error) {
	var l unstructured.UnstructuredList
	l.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := r.live.List(ctx, &l); err != nil {
		return nil, fmt.Errorf("list %ss: %w", gvk.Kind, err)
	}
	return l.Items, nil
}
