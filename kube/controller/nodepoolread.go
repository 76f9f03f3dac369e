package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	podresource "k8s.io/component-helpers/resource"
	schedule "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	nodepool "github.com/tsunagu-net/tsunagu/node/pool"
)

const (
	autoscalerMin      = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size"
	autoscalerMax      = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"
	autoscalerCapacity = "capacity.cluster-autoscaler.kubernetes.io/"
	topologyOwned      = "topology.cluster.x-k8s.io/owned"
	machinePaused      = "cluster.x-k8s.io/paused"
	machineDelete      = "cluster.x-k8s.io/delete-machine"
	machinePool        = "cluster.x-k8s.io/deployment-name"

	poolIdle = 10 * time.Minute
)

// machineDeployment is one that asks tsunagu to scale it.
type machineDeployment struct {
	nodepool.Pool
	object *unstructured.Unstructured
	// like is what a node of it will be.
	like corev1.Node
	// machines are its Machines by the names of their nodes.
	machines map[string]*unstructured.Unstructured
}

// parsePool reads a MachineDeployment. An error says what its owner must
// change; one that asks for nothing is nil.
func parsePool(o *unstructured.Unstructured) (*machineDeployment, error) {
	a := o.GetAnnotations()
	if _, ok := a[v1alpha1.PoolNetworksAnnotation]; !ok {
		return nil, nil
	}
	m := &machineDeployment{object: o, machines: map[string]*unstructured.Unstructured{}}
	m.Name, m.Idle = o.GetNamespace()+"/"+o.GetName(), poolIdle
	wrong := func(key, why, fix string) error {
		return fmt.Errorf("MachineDeployment %s: %s %q %s, so it is not scaled. To fix: %s", m.Name, key, a[key], why, fix)
	}
	for _, key := range []string{autoscalerMin, autoscalerMax} {
		if _, ok := a[key]; ok {
			return nil, wrong(key, "leaves it to the Cluster Autoscaler", "remove it, or remove "+v1alpha1.PoolNetworksAnnotation+": two would scale against each other")
		}
	}
	if _, ok := o.GetLabels()[topologyOwned]; ok {
		return nil, wrong(v1alpha1.PoolNetworksAnnotation, "is on one that a ClusterClass makes, which takes changes back",
			"annotate a MachineDeployment of its own, or give this one to the Cluster Autoscaler in Cluster.spec.topology.workers.machineDeployments[].metadata.annotations: "+autoscalerMin+", "+autoscalerMax)
	}
	if _, ok := a[machinePaused]; ok {
		return nil, wrong(machinePaused, "stops it", "remove the annotation")
	}
	for _, n := range strings.Split(a[v1alpha1.PoolNetworksAnnotation], ",") {
		if n = strings.TrimSpace(n); n != "" && !slices.Contains(m.Networks, n) {
			m.Networks = append(m.Networks, n)
		}
	}
	if len(m.Networks) == 0 {
		return nil, wrong(v1alpha1.PoolNetworksAnnotation, "names no Network", `write their names, such as "blue,storage"`)
	}
	var err error
	if text, ok := a[v1alpha1.PoolMinAnnotation]; ok {
		if m.Min, err = strconv.Atoi(text); err != nil || m.Min < 0 {
			return nil, wrong(v1alpha1.PoolMinAnnotation, "is no number of nodes", `write one, such as "0"`)
		}
	}
	if m.Max, err = strconv.Atoi(a[v1alpha1.PoolMaxAnnotation]); err != nil || m.Max < max(1, m.Min) {
		return nil, wrong(v1alpha1.PoolMaxAnnotation, "is not the most nodes that there may be", `write a number not below `+v1alpha1.PoolMinAnnotation+`, such as "3"`)
	}
	if text, ok := a[v1alpha1.PoolIdleAnnotation]; ok {
		if m.Idle, err = time.ParseDuration(text); err != nil || m.Idle <= 0 {
			return nil, wrong(v1alpha1.PoolIdleAnnotation, "is no duration", `write one, such as "10m"`)
		}
	}
	replicas, ok, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil || !ok {
		return nil, fmt.Errorf("MachineDeployment %s: spec.replicas is no number. To fix: set it, such as to 0", m.Name)
	}
	m.Replicas = int(replicas)
	if m.like, err = likeNode(o, m.Networks); err != nil {
		return nil, fmt.Errorf("MachineDeployment %s: %w", m.Name, err)
	}
	return m, nil
}

// likeNode is what a node of a MachineDeployment will be once its networks are
// verified: labels of its template, and size, as far as they are told.
func likeNode(o *unstructured.Unstructured, networks []string) (n corev1.Node, err error) {
	n.Name = o.GetName() + "-new"
	n.Labels = map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64", corev1.LabelHostname: n.Name}
	labels, _, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	if err != nil {
		return n, err
	}
	maps.Copy(n.Labels, labels)
	for _, name := range networks {
		n.Labels[v1alpha1.NetworkReadyPrefix+name] = v1alpha1.NetworkReadyValue
	}
	taints, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "taints")
	if err != nil {
		return n, err
	}
	for _, t := range taints {
		field := func(key string) string { m, _ := t.(map[string]any); s, _ := m[key].(string); return s }
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: field("key"), Value: field("value"), Effect: corev1.TaintEffect(field("effect"))})
	}
	n.Status.Allocatable = corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if text, ok := o.GetAnnotations()[autoscalerCapacity+string(name)]; ok {
			q, err := resource.ParseQuantity(text)
			if err != nil {
				return n, fmt.Errorf("%s %q: %w. To fix: write a quantity of Kubernetes, such as 8Gi", autoscalerCapacity+string(name), text, err)
			}
			n.Status.Allocatable[name] = q
		}
	}
	return n, nil
}

// serves tells whether a Pod would run on a node of a MachineDeployment, and
// would not without its networks: then they are what it waits for.
func (m *machineDeployment) serves(p *corev1.Pod) bool {
	affinity := nodeaffinity.GetRequiredNodeAffinity(p)
	if ok, err := affinity.Match(&m.like); !ok || err != nil {
		return false
	}
	without := m.like.DeepCopy()
	maps.DeleteFunc(without.Labels, func(key, _ string) bool { return strings.HasPrefix(key, v1alpha1.NetworkReadyPrefix) })
	if ok, err := affinity.Match(without); ok || err != nil {
		return false
	}
	if !tolerates(p, m.like.Spec.Taints) {
		return false
	}
	for name, want := range podresource.PodRequests(p, podresource.PodResourcesOptions{}) {
		if have, told := m.like.Status.Allocatable[name]; told && want.Cmp(have) > 0 {
			return false
		}
	}
	return true
}

// tolerates tells whether taints let a Pod come.
func tolerates(p *corev1.Pod, taints []corev1.Taint) bool {
	_, found := schedule.FindMatchingUntoleratedTaint(klog.Background(), taints, p.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, true)
	return !found
}

// stuck tells whether the scheduler has found no node for a Pod that nobody
// holds back.
func stuck(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.DeletionTimestamp == nil && len(p.Spec.SchedulingGates) == 0 &&
		slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
		})
}

// uses tells whether a Pod is why a node is needed: those that every node has
// are not, and those that have ended.
func uses(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return false
	}
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return false
	}
	for _, o := range p.OwnerReferences {
		if o.Kind == "DaemonSet" && o.Controller != nil && *o.Controller {
			return false
		}
	}
	return true
}
