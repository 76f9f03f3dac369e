package variant

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

const (
	autoscalerMin  = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size"
	autoscalerMax  = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"
	clusterLabel   = "cluster.x-k8s.io/cluster-name"
	poolLabel      = "cluster.x-k8s.io/deployment-name"
	topologyPrefix = "topology.cluster.x-k8s.io/"

	// VSphere is the kind of template that cards can be added to, and Kubeadm the kind of bootstrap template that taints can.
	VSphere = "VSphereMachineTemplate"
	Kubeadm = "KubeadmConfigTemplate"

	// StartupTaint is on a new node until its networks are verified. The autoscaler counts a node with a taint of this prefix as one that is still
	// on its way, and brings no second for the same Pods.
	StartupTaint      = "startup-taint.cluster-autoscaler.kubernetes.io/tsunagu-network"
	startupTaintValue = "unverified"
)

// Source is a MachineDeployment that pools are made of, and what it refers to. Infra is nil when its kind is none that is read.
type Source struct{ Base, Infra, Bootstrap *unstructured.Unstructured }

// Pool is one that is to be there. Templates are new objects whenever they change: Cluster API rolls machines over by another name.
type Pool struct {
	Networks   []string
	Deployment *unstructured.Unstructured
	Templates  []*unstructured.Unstructured
}

// Make gives the pools. An error says what the owner must change.
func (r Request) Make(s Source) ([]Pool, error) {
	where := fmt.Sprintf("MachineDeployment %s/%s", s.Base.GetNamespace(), s.Base.GetName())
	sizes, err := size(s.Base, s.Infra)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if owner, ok := s.Base.GetLabels()[topologyPrefix+"deployment-name"]; ok || has(s.Base.GetLabels(), topologyPrefix+"owned") {
		return nil, fmt.Errorf("%s is made by a ClusterClass, which takes changes back, so no pools are made of it. To fix: add to Cluster.spec.topology.workers.machineDeployments: %s",
			where, r.stanza(owner, sizes))
	}
	if s.Bootstrap == nil || s.Bootstrap.GetKind() != Kubeadm {
		return nil, fmt.Errorf("%s: its nodes are not set up by a %s, so they cannot be kept free of Pods until their networks are verified. To fix: use one, or make the MachineDeployments by hand (docs/nodes.md)", where, Kubeadm)
	}
	var pools []Pool
	hosts := r.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, set := range r.Sets {
		for _, host := range hosts {
			p, err := r.pool(s, set, host, sizes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			pools = append(pools, p)
		}
	}
	return pools, nil
}

func has(m map[string]string, key string) bool { _, ok := m[key]; return ok }

// pool makes the objects of one. Its name says which networks it has: another set is another pool, because the autoscaler goes by the last node that it
// saw of a pool for as long as it runs.
func (r Request) pool(s Source, set []string, host string, sizes map[string]string) (p Pool, err error) {
	p.Networks = set
	name := name(s.Base.GetName(), digest(set), host)
	infra, bootstrap, err := r.templates(s, set, name)
	if err != nil {
		return p, err
	}
	o := fresh(s.Base, name, name)
	own := o.GetLabels()
	own[v1alpha1.PoolBaseLabel] = s.Base.GetName()
	o.SetLabels(own)
	p.Deployment = o
	spec, ok := s.Base.DeepCopy().Object["spec"].(map[string]any)
	if !ok {
		return p, fmt.Errorf("it has no spec")
	}
	o.Object["spec"] = spec
	taints, _, _ := unstructured.NestedSlice(s.Bootstrap.Object, taintsAt...)
	labels, cluster := r.labels(s.Base, host), text(s.Base, "spec", "clusterName")
	labels[clusterLabel], labels[poolLabel] = cluster, name
	set1 := func(value any, at ...string) {
		if err == nil {
			err = unstructured.SetNestedField(o.Object, value, at...)
		}
	}
	set1(int64(r.Min), "spec", "replicas")
	set1(map[string]any{"matchLabels": map[string]any{clusterLabel: cluster, poolLabel: name}}, "spec", "selector")
	set1(anyMap(labels), "spec", "template", "metadata", "labels")
	set1(bootstrap.GetName(), "spec", "template", "spec", "bootstrap", "configRef", "name")
	p.Templates = append(p.Templates, bootstrap)
	if infra != nil {
		set1(infra.GetName(), "spec", "template", "spec", "infrastructureRef", "name")
		p.Templates = append(p.Templates, infra)
	}
	if host != "" {
		set1(host, "spec", "template", "spec", "failureDomain")
	}
	o.SetAnnotations(r.annotations(set, labels, taints, sizes))
	return p, err
}

// labels are those that Cluster API brings to the nodes. Networks are not among them: those are labelled when they are verified.
func (r Request) labels(base *unstructured.Unstructured, host string) map[string]string {
	labels, _, _ := unstructured.NestedStringMap(base.Object, "spec", "template", "metadata", "labels")
	out := map[string]string{}
	for k, v := range labels {
		if !strings.HasPrefix(k, topologyPrefix) {
			out[k] = v
		}
	}
	if host != "" {
		out[v1alpha1.HostsLabel] = host
	}
	return out
}

// annotations are what whoever scales the pool must know.
func (r Request) annotations(set []string, labels map[string]string, taints []any, sizes map[string]string) map[string]string {
	a := maps.Clone(sizes)
	a[v1alpha1.PoolMadeForAnnotation] = strings.Join(set, ",")
	promised := map[string]string{}
	for k, v := range labels {
		if carried(k) {
			promised[k] = v
		}
	}
	for _, n := range set {
		promised[v1alpha1.NetworkReadyPrefix+n] = v1alpha1.NetworkReadyValue
	}
	var items []string
	for _, k := range slices.Sorted(maps.Keys(promised)) {
		items = append(items, k+"="+promised[k])
	}
	a[Capacity+"labels"] = strings.Join(items, ",")
	if list := spelled(taints); list != "" {
		a[Capacity+"taints"] = list
	}
	switch r.Scaler {
	case Own:
		a[v1alpha1.PoolNetworksAnnotation] = strings.Join(set, ",")
		a[v1alpha1.PoolMinAnnotation], a[v1alpha1.PoolMaxAnnotation] = strconv.Itoa(r.Min), strconv.Itoa(r.Max)
		if r.Idle != "" {
			a[v1alpha1.PoolIdleAnnotation] = r.Idle
		}
	default:
		a[autoscalerMin], a[autoscalerMax] = strconv.Itoa(r.Min), strconv.Itoa(r.Max)
	}
	return a
}

// OwnKeys are the annotations of a pool that nobody else writes: one that is not wanted any more is removed.
var OwnKeys = []string{autoscalerMin, autoscalerMax, v1alpha1.PoolNetworksAnnotation, v1alpha1.PoolMinAnnotation, v1alpha1.PoolMaxAnnotation, v1alpha1.PoolIdleAnnotation,
	Capacity + "labels", Capacity + "taints", Capacity + "cpu", Capacity + "memory", Capacity + "ephemeral-disk", Capacity + "maxPods"}

// carried tells whether Cluster API brings a label of a template to the nodes (its book, "Metadata propagation").
func carried(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return false
	}
	for _, d := range []string{"node-restriction.kubernetes.io", "node.cluster.x-k8s.io"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return domain == "node-role.kubernetes.io"
}

// spelled are a node's taints in the autoscaler's spelling.
func spelled(taints []any) string {
	var items []string
	for _, t := range taints {
		m, _ := t.(map[string]any)
		field := func(key string) string { s, _ := m[key].(string); return s }
		if field("effect") == "" || field("key") == StartupTaint {
			continue
		}
		item := field("key")
		if v := field("value"); v != "" {
			item += "=" + v
		}
		items = append(items, item+":"+field("effect"))
	}
	return strings.Join(items, ",")
}

// stanza is what the owner of a Cluster adds, since nobody else may.
func (r Request) stanza(class string, sizes map[string]string) string {
	set, host := r.Sets[0], ""
	if len(r.Hosts) > 0 {
		host = r.Hosts[0]
	}
	one := map[string]any{"class": "<the class of " + class + ">", "name": name(class, digest(set), host),
		"metadata": map[string]any{"annotations": r.annotations(set, r.labels(&unstructured.Unstructured{}, host), nil, sizes)}}
	if host != "" {
		one["failureDomain"] = host
	}
	text, _ := json.Marshal(one) // strings only
	more := ""
	if n := len(r.Sets)*max(1, len(r.Hosts)) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more like it", n)
	}
	return "- " + string(text) + more
}

func digest(o any) string {
	b, _ := json.Marshal(o) // of plain values
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:6]
}

// name is at most 50 letters: Cluster API makes names of it for Machines.
func name(base, digest, host string) string {
	tail := "-" + digest
	if host != "" {
		tail += "-" + host
	}
	tail = tail[:min(len(tail), 40)]
	return base[:min(len(base), 50-len(tail))] + tail
}

func text(o *unstructured.Unstructured, at ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, at...)
	return s
}

func anyMap(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}
