package main

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/node/variant"
)

// What is made of a MachineDeployment is what the Cluster Autoscaler's rules, as they were seen at work, take: a Pod that only one pool serves is
// brought a node of exactly that pool. And each way of spoiling one that was met in the field is told by a code, with the value and what to write.
func TestPoolsAreWhatTheAutoscalerTakes(t *testing.T) {
	made := poolsOf(t)
	pod := func(networks ...string) *corev1.Pod {
		p := &corev1.Pod{}
		p.Namespace, p.Name = "team", "web"
		var all []corev1.NodeSelectorRequirement
		for _, n := range networks {
			all = append(all, corev1.NodeSelectorRequirement{Key: v1alpha1.NetworkReadyPrefix + n, Operator: "In", Values: []string{v1alpha1.NetworkReadyValue}})
		}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: all}}}}}
		return p
	}
	blue, red := "MachineDeployment machines/"+made[0].GetName(), "MachineDeployment machines/"+made[1].GetName()
	for _, v := range []string{"1.27.1", "1.30.0", "1.35.0", "1.36.1"} {
		for want, networks := range map[string][]string{blue: {"blue", "storage"}, red: {"red"}, "": {"blue", "red"}} {
			got := explained(t, v, made, nil, pod(networks...))
			if strings.Join(got.Scales, " ") != want || got.Considered != 2 {
				t.Errorf("%s: %v are brought by %v of %d, want %q", v, networks, got.Scales, got.Considered, want)
			}
			for _, g := range got.Groups {
				for _, p := range g.Problems {
					if p.Code != scaleup.CodePredicate && p.Code != scaleup.CodeFull {
						t.Errorf("%s: %s: %s %s", v, g.Group, p.Code, p.Why)
					}
				}
			}
		}
	}
	const sizes = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-"
	for name, c := range map[string]struct {
		spoil  func(*unstructured.Unstructured)
		denied map[string][]string
		code   scaleup.Code
		value  string
		fix    string
	}{
		"memory 500mb":            {spoil: annotate(variant.Capacity+"memory", "500mb"), code: scaleup.CodeBadCapacity, value: "500mb", fix: `memory="500M"`},
		"no min-size":             {spoil: annotate(sizes+"min-size", ""), code: scaleup.CodeNoSizes, fix: sizes + "min-size"},
		"max-size no number":      {spoil: annotate(sizes+"max-size", "3.5"), code: scaleup.CodeBadSizes, value: "3.5", fix: sizes + "max-size"},
		"labels on another path":  {spoil: elsewhere, code: scaleup.CodeTemplateOnly, value: v1alpha1.NetworkReadyPrefix + "blue In ready", fix: variant.Capacity + "labels"},
		"no right on a template":  {denied: map[string][]string{variant.VSphere: {"watch"}}, code: scaleup.CodeNoRight, value: variant.VSphere, fix: "get, list and watch"},
		"a blank after the comma": {spoil: spaced, code: scaleup.CodeBadLabels, value: " " + v1alpha1.NetworkReadyPrefix + "storage=ready", fix: "labels="},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := []*unstructured.Unstructured{made[0].DeepCopy(), made[1]}
			if c.spoil != nil {
				c.spoil(spoilt[0])
			}
			v := explained(t, "1.36.1", spoilt, c.denied, pod("blue", "storage"))
			i := slices.IndexFunc(v.Groups, func(g scaleup.GroupVerdict) bool { return g.Group == blue })
			j := slices.IndexFunc(v.Groups[i].Problems, func(p scaleup.Problem) bool { return p.Code == c.code })
			if j < 0 {
				t.Fatalf("no %s in %+v", c.code, v.Groups[i].Problems)
			}
			if p := v.Groups[i].Problems[j]; !strings.Contains(p.Value, c.value) || !strings.Contains(p.Fix, c.fix) {
				t.Errorf("value %q, fix %q; want %q, %q", p.Value, p.Fix, c.value, c.fix)
			}
		})
	}
}

func annotate(key, value string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		a := o.GetAnnotations()
		a[key] = value
		if value == "" {
			delete(a, key)
		}
		o.SetAnnotations(a)
	}
}

// elsewhere has the labels where Cluster API's own are, and the autoscaler does not look.
func elsewhere(o *unstructured.Unstructured) {
	annotate(variant.Capacity+"labels", "")(o)
	for _, n := range []string{"blue", "storage"} {
		_ = unstructured.SetNestedField(o.Object, v1alpha1.NetworkReadyValue, "spec", "template", "metadata", "labels", v1alpha1.NetworkReadyPrefix+n)
	}
}

func spaced(o *unstructured.Unstructured) {
	annotate(variant.Capacity+"labels", strings.ReplaceAll(o.GetAnnotations()[variant.Capacity+"labels"], ",", ", "))(o)
}

// poolsOf makes the pools of a MachineDeployment with sets blue,storage and red.
func poolsOf(t *testing.T) (made []*unstructured.Unstructured) {
	t.Helper()
	read := func(text string) *unstructured.Unstructured {
		b, err := yaml.YAMLToJSON([]byte(text))
		o := &unstructured.Unstructured{}
		if err == nil {
			err = o.UnmarshalJSON(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	s := variant.Source{Base: read(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata: {name: workers, namespace: machines, annotations: {tsunagu.dev/pool-sets: "blue,storage; red", tsunagu.dev/pool-max: "3", tsunagu.dev/pool-hosts: rack1}}
spec:
  clusterName: prod
  template:
    metadata: {labels: {node-role.kubernetes.io/edge: ""}}
    spec:
      bootstrap: {configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: workers}}
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: VSphereMachineTemplate, name: workers}`),
		Infra:     read(`{kind: VSphereMachineTemplate, apiVersion: infrastructure.cluster.x-k8s.io/v1beta1, metadata: {name: workers, namespace: machines}, spec: {template: {spec: {numCPUs: 4, memoryMiB: 8192}}}}`),
		Bootstrap: read(`{kind: KubeadmConfigTemplate, apiVersion: bootstrap.cluster.x-k8s.io/v1beta2, metadata: {name: workers, namespace: machines}, spec: {template: {spec: {}}}}`)}
	r, _, err := variant.Parse(s.Base)
	if err != nil {
		t.Fatal(err)
	}
	pools, err := r.Make(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pools {
		made = append(made, p.Deployment)
	}
	return made
}

func explained(t *testing.T, version string, made []*unstructured.Unstructured, denied map[string][]string, pod *corev1.Pod) scaleup.Verdict {
	t.Helper()
	v, err := scaleup.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	c := &scaleup.Cluster{Autoscaler: scaleup.Autoscaler{Version: v, Denied: denied}}
	for _, o := range made {
		g, err := scaleup.ParseGroup(o)
		if err != nil {
			t.Fatal(err)
		}
		c.Groups = append(c.Groups, g)
	}
	return scaleup.Explain(c, pod)
}
