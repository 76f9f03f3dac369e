package admission

import (
	"context"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// hostKeys are the labels by which nodes tell on which host their machine is, the first that there is: Cluster API's provider for vSphere follows the
// machine (v1.4 and later), pools that are bound to hosts know the group.
var hostKeys = []string{"node.cluster.x-k8s.io/esxi-host", v1alpha1.HostsLabel}

func hostKey(nodes []corev1.Node) string {
	for _, key := range hostKeys {
		for i := range nodes {
			if _, ok := nodes[i].Labels[key]; ok {
				return key
			}
		}
	}
	return ""
}

// ofOneRevision are labels that tell Pods of one workload apart.
var ofOneRevision = map[string]bool{"pod-template-hash": true, "controller-revision-hash": true, "statefulset.kubernetes.io/pod-name": true, "apps.kubernetes.io/pod-index": true,
	"batch.kubernetes.io/job-completion-index": true, "batch.kubernetes.io/controller-uid": true, "controller-uid": true}

// spread has the scheduler prefer hosts with fewer of a workload's Pods, where a network asks for it: several nodes of one host are lost with it. It is a
// wish, never a requirement: an autoscaler that does not know a new node's host would bring none, or one after the other.
func (p *Placement) spread(ctx context.Context, pod *placed, networks []string) []jsonpatch.Operation {
	desk, asked := &Desk{Cached: p.Cached, Live: p.Live}, false
	for _, name := range networks {
		var n v1alpha1.Network
		if err := desk.find(ctx, client.ObjectKey{Name: name}, &n); err == nil {
			asked = asked || n.Spec.Spread == v1alpha1.SpreadHosts
		}
	}
	if !asked {
		return nil
	}
	key := p.seen.hostKey(ctx, p.Cached)
	alike := map[string]string{}
	for k, v := range pod.Metadata.Labels {
		if !ofOneRevision[k] {
			alike[k] = v
		}
	}
	if key == "" || len(alike) == 0 {
		return nil
	}
	for _, c := range pod.Spec.TopologySpreadConstraints {
		if object(c)["topologyKey"] == key { // its owner knows better
			return nil
		}
	}
	constraint := map[string]any{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": map[string]any{"matchLabels": alike}}
	if _, ok := pod.Metadata.Labels["pod-template-hash"]; ok {
		constraint["matchLabelKeys"] = []string{"pod-template-hash"}
	}
	return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/spec/topologySpreadConstraints", append(pod.Spec.TopologySpreadConstraints, constraint))}
}
