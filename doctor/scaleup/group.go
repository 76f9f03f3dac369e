package scaleup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// The keys of annotations on a MachineDeployment, MachineSet or MachinePool (docs of the clusterapi provider).
const (
	keyMin = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size"
	keyMax = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"

	capacityPrefix = "capacity.cluster-autoscaler.kubernetes.io/"
	keyCPU         = capacityPrefix + "cpu"
	keyMemory      = capacityPrefix + "memory"
	keyDisk        = capacityPrefix + "ephemeral-disk"
	keyMaxPods     = capacityPrefix + "maxPods"
	keyGPUCount    = capacityPrefix + "gpu-count"
	keyGPUType     = capacityPrefix + "gpu-type"
	keyLabels      = capacityPrefix + "labels"
	keyTaints      = capacityPrefix + "taints"

	keyPaused = "cluster.x-k8s.io/paused"
)

// Group is a MachineDeployment (or MachineSet, MachinePool) as the autoscaler sees it.
type Group struct {
	Kind, Namespace, Name string
	UID                   types.UID
	Cluster               string
	Labels, Annotations   map[string]string
	// Replicas is spec.replicas; 1 when it is not set, as the API has it.
	Replicas int
	// TemplateLabels are spec.template.metadata.labels, TemplateTaints spec.template.spec.taints.
	TemplateLabels map[string]string
	TemplateTaints []corev1.Taint
	// Infra refers to the machine's template.
	Infra Reference
	// Topology: the object is made by a ClusterClass.
	Topology bool
}

// Reference names an infrastructure template.
type Reference struct{ Kind, Group, Namespace, Name string }

func (r Reference) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

func (g Group) String() string { return g.Kind + " " + g.Namespace + "/" + g.Name }

// ParseGroup reads a scalable object of Cluster API, v1beta1 or v1beta2.
func ParseGroup(o *unstructured.Unstructured) (Group, error) {
	g := Group{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(), Replicas: 1}
	var errs []error
	text := func(path ...string) string {
		s, _, err := unstructured.NestedString(o.Object, path...)
		errs = append(errs, err)
		return s
	}
	g.Cluster = text("spec", "clusterName")
	if g.Cluster == "" {
		g.Cluster = g.Labels["cluster.x-k8s.io/cluster-name"]
	}
	if n, ok, err := unstructured.NestedInt64(o.Object, "spec", "replicas"); ok {
		g.Replicas = int(n)
	} else if err != nil {
		errs = append(errs, err)
	}
	labels, _, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	g.TemplateLabels, errs = labels, append(errs, err)
	ref := []string{"spec", "template", "spec", "infrastructureRef"}
	g.Infra = Reference{Kind: text(append(ref, "kind")...), Group: text(append(ref, "apiGroup")...), Namespace: text(append(ref, "namespace")...), Name: text(append(ref, "name")...)}
	if g.Infra.Group == "" { // v1beta1 has apiVersion instead
		g.Infra.Group, _, _ = strings.Cut(text(append(ref, "apiVersion")...), "/")
	}
	if g.Infra.Namespace == "" {
		g.Infra.Namespace = g.Namespace
	}
	taints, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "taints")
	errs = append(errs, err)
	for _, t := range taints {
		if m, ok := t.(map[string]any); ok {
			field := func(key string) string { s, _ := m[key].(string); return s }
			g.TemplateTaints = append(g.TemplateTaints, corev1.Taint{Key: field("key"), Value: field("value"), Effect: corev1.TaintEffect(field("effect"))})
		}
	}
	_, g.Topology = g.Labels["topology.cluster.x-k8s.io/owned"]
	for _, err := range errs {
		if err != nil {
			return g, fmt.Errorf("read %s: %w", g, err)
		}
	}
	return g, nil
}

// sorted are the groups in the order of their names.
func sorted(groups []Group) []Group {
	return slices.SortedFunc(slices.Values(groups), func(a, b Group) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
}

// keysOf are a map's keys in order.
func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
