package variant

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// taintsAt is where a KubeadmConfigTemplate has the taints of a node that joins.
var taintsAt = []string{"spec", "template", "spec", "joinConfiguration", "nodeRegistration", "taints"}

// templates are those of one pool. Infra is nil when the base's own will do.
func (r Request) templates(s Source, set []string, pool string) (infra, bootstrap *unstructured.Unstructured, err error) {
	bootstrap = fresh(s.Bootstrap, "", pool)
	spec, _ := s.Bootstrap.DeepCopy().Object["spec"].(map[string]any)
	bootstrap.Object["spec"] = spec
	taints, _, err := unstructured.NestedSlice(bootstrap.Object, taintsAt...)
	if err != nil {
		return nil, nil, fmt.Errorf("the taints of %s %s: %w", Kubeadm, s.Bootstrap.GetName(), err)
	}
	taints = append(taints, map[string]any{"key": StartupTaint, "value": startupTaintValue, "effect": "NoSchedule"})
	if spec == nil {
		bootstrap.Object["spec"] = map[string]any{}
	}
	if err := unstructured.SetNestedSlice(bootstrap.Object, taints, taintsAt...); err != nil {
		return nil, nil, fmt.Errorf("the taints of %s %s: %w", Kubeadm, s.Bootstrap.GetName(), err)
	}
	bootstrap.SetName(pool + "-" + digest(bootstrap.Object["spec"]))
	var devices []any
	for _, n := range set {
		if group := r.PortGroups[n]; group != "" {
			// The node's side has no address: those are the Pods'. Without skipIPAllocation the Machine would wait for one for ever.
			devices = append(devices, map[string]any{"networkName": group, "skipIPAllocation": true})
		}
	}
	if len(devices) == 0 {
		return nil, bootstrap, nil
	}
	if s.Infra == nil || s.Infra.GetKind() != VSphere {
		return nil, nil, fmt.Errorf("%s: cards can be added to a %s only. To fix: make machines with the networks in a template of your own, and remove the annotation", v1alpha1.PoolPortGroupsAnnotation, VSphere)
	}
	infra = fresh(s.Infra, "", pool)
	infra.Object["spec"] = s.Infra.DeepCopy().Object["spec"]
	at := []string{"spec", "template", "spec", "network", "devices"}
	have, _, err := unstructured.NestedSlice(infra.Object, at...)
	if err == nil {
		err = unstructured.SetNestedSlice(infra.Object, append(have, devices...), at...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the network of %s %s: %w", VSphere, s.Infra.GetName(), err)
	}
	infra.SetName(pool + "-" + digest(infra.Object["spec"]))
	return infra, bootstrap, nil
}

// fresh is an object of the kind of another, beside it, that belongs to a pool.
func fresh(like *unstructured.Unstructured, name, pool string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(like.GroupVersionKind())
	o.SetNamespace(like.GetNamespace())
	o.SetName(name)
	labels := map[string]string{v1alpha1.PoolLabel: pool}
	if c := like.GetLabels()[clusterLabel]; c != "" {
		labels[clusterLabel] = c
	}
	o.SetLabels(labels)
	return o
}
