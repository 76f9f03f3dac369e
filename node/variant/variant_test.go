package variant

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
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

func source(t *testing.T, annotations map[string]string) Source {
	base := object(t, `
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata: {name: workers, namespace: machines, labels: {cluster.x-k8s.io/cluster-name: prod}}
spec:
  clusterName: prod
  replicas: 3
  selector: {matchLabels: {cluster.x-k8s.io/deployment-name: workers}}
  template:
    metadata: {labels: {cluster.x-k8s.io/deployment-name: workers, node-role.kubernetes.io/edge: "", team: lan}}
    spec:
      clusterName: prod
      version: v1.37.2
      bootstrap: {configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: workers}}
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: VSphereMachineTemplate, name: workers}`)
	a := map[string]string{v1alpha1.PoolSetsAnnotation: "storage, blue; red", v1alpha1.PoolMaxAnnotation: "3"}
	maps.Copy(a, annotations)
	base.SetAnnotations(a)
	return Source{Base: base, Infra: object(t, `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta1
kind: VSphereMachineTemplate
metadata: {name: workers, namespace: machines, labels: {cluster.x-k8s.io/cluster-name: prod}}
spec: {template: {spec: {numCPUs: 4, memoryMiB: 8192, diskGiB: 50, network: {devices: [{networkName: nodes, dhcp4: true}]}}}}`), Bootstrap: object(t, `
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfigTemplate
metadata: {name: workers, namespace: machines}
spec: {template: {spec: {joinConfiguration: {nodeRegistration: {taints: [{key: dedicated, value: edge, effect: NoSchedule}]}}}}}`)}
}

func made(t *testing.T, s Source) []Pool {
	t.Helper()
	r, asks, err := Parse(s.Base)
	if err != nil || !asks {
		t.Fatal(asks, err)
	}
	pools, err := r.Make(s)
	if err != nil {
		t.Fatal(err)
	}
	return pools
}

func TestMake(t *testing.T) {
	s := source(t, map[string]string{v1alpha1.PoolHostsAnnotation: "rack1, rack2", v1alpha1.PoolPortGroupsAnnotation: "blue=vlan120"})
	before := s.Base.DeepCopy()
	pools := made(t, s)
	if diff := cmp.Diff(before.Object, s.Base.DeepCopy().Object); diff != "" || len(pools) != 4 {
		t.Fatalf("%d pools\n%s", len(pools), diff)
	}
	p := pools[1] // blue and storage, on rack2
	name := p.Deployment.GetName()
	if !strings.HasPrefix(name, "workers-") || !strings.HasSuffix(name, "-rack2") {
		t.Errorf("it is called %s", name)
	}
	want := object(t, `
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata:
  name: `+name+`
  namespace: machines
  labels: {cluster.x-k8s.io/cluster-name: prod, tsunagu.dev/pool: `+name+`, tsunagu.dev/pool-base: workers}
  annotations:
    tsunagu.dev/pool-made-for: blue,storage
    cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size: "0"
    cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size: "3"
    capacity.cluster-autoscaler.kubernetes.io/cpu: "4"
    capacity.cluster-autoscaler.kubernetes.io/memory: 8Gi
    capacity.cluster-autoscaler.kubernetes.io/ephemeral-disk: 50Gi
    capacity.cluster-autoscaler.kubernetes.io/taints: dedicated=edge:NoSchedule
    capacity.cluster-autoscaler.kubernetes.io/labels: "node-role.kubernetes.io/edge=,\
      topology.tsunagu.node-restriction.kubernetes.io/hosts=rack2,\
      tsunagu.node-restriction.kubernetes.io/blue=ready,tsunagu.node-restriction.kubernetes.io/storage=ready"
spec:
  clusterName: prod
  replicas: 0
  selector: {matchLabels: {cluster.x-k8s.io/cluster-name: prod, cluster.x-k8s.io/deployment-name: `+name+`}}
  template:
    metadata: {labels: {cluster.x-k8s.io/cluster-name: prod, cluster.x-k8s.io/deployment-name: `+name+`, node-role.kubernetes.io/edge: "", team: lan,
      topology.tsunagu.node-restriction.kubernetes.io/hosts: rack2}}
    spec:
      clusterName: prod
      failureDomain: rack2
      version: v1.37.2
      bootstrap: {configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: `+p.Templates[0].GetName()+`}}
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: VSphereMachineTemplate, name: `+p.Templates[1].GetName()+`}`)
	if diff := cmp.Diff(want.Object, p.Deployment.Object); diff != "" {
		t.Error(diff)
	}
	taints, _, _ := unstructured.NestedSlice(p.Templates[0].Object, taintsAt...)
	if diff := cmp.Diff([]any{map[string]any{"key": "dedicated", "value": "edge", "effect": "NoSchedule"},
		map[string]any{"key": "startup-taint.cluster-autoscaler.kubernetes.io/tsunagu-network", "value": "unverified", "effect": "NoSchedule"}}, taints); diff != "" {
		t.Error(diff)
	}
	devices, _, _ := unstructured.NestedSlice(p.Templates[1].Object, "spec", "template", "spec", "network", "devices")
	if diff := cmp.Diff([]any{map[string]any{"networkName": "nodes", "dhcp4": true}, map[string]any{"networkName": "vlan120", "skipIPAllocation": true}}, devices); diff != "" {
		t.Error(diff)
	}
	if len(pools[2].Templates) != 1 { // red needs no card: the template of the base will do
		t.Errorf("%d templates", len(pools[2].Templates))
	}
	again := made(t, s)
	if diff := cmp.Diff(pools, again); diff != "" {
		t.Errorf("a second time: %s", diff)
	}
}

// Another order of the names is the same pool, another set another one.
func TestNamesFollowTheSet(t *testing.T) {
	a := made(t, source(t, map[string]string{v1alpha1.PoolSetsAnnotation: "blue,storage"}))
	b := made(t, source(t, map[string]string{v1alpha1.PoolSetsAnnotation: "storage,blue;storage , blue,blue"}))
	c := made(t, source(t, map[string]string{v1alpha1.PoolSetsAnnotation: "blue"}))
	if len(b) != 1 || a[0].Deployment.GetName() != b[0].Deployment.GetName() || a[0].Deployment.GetName() == c[0].Deployment.GetName() {
		t.Error(a, b, c)
	}
}

// One scales, never two.
func TestOneScaler(t *testing.T) {
	for scaler, owner := range map[string]bool{"": false, "autoscaler": false, "tsunagu": true} {
		for _, p := range made(t, source(t, map[string]string{v1alpha1.PoolScalerAnnotation: scaler, v1alpha1.PoolIdleAnnotation: "5m"})) {
			a := p.Deployment.GetAnnotations()
			if has(a, autoscalerMin) == owner || has(a, autoscalerMax) == owner || has(a, v1alpha1.PoolNetworksAnnotation) != owner || has(a, v1alpha1.PoolMaxAnnotation) != owner || has(a, v1alpha1.PoolIdleAnnotation) != owner {
				t.Errorf("%q: %v", scaler, a)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Source, map[string]string)
		want   []string
	}{
		{"no networks", func(_ *Source, a map[string]string) { a[v1alpha1.PoolSetsAnnotation] = " ; ," }, []string{"names no Network"}},
		{"no name", func(_ *Source, a map[string]string) { a[v1alpha1.PoolSetsAnnotation] = "Blue" }, []string{`"Blue", which is no name`}},
		{"no most", func(_ *Source, a map[string]string) { delete(a, v1alpha1.PoolMaxAnnotation) }, []string{"is not the most nodes", `such as "3"`}},
		{"max is no whole number", func(_ *Source, a map[string]string) { a[v1alpha1.PoolMaxAnnotation] = "3.5" }, []string{`pool-max "3.5"`}},
		{"min is no number", func(_ *Source, a map[string]string) { a[v1alpha1.PoolMinAnnotation] = "one" }, []string{`pool-min "one"`}},
		{"idle", func(_ *Source, a map[string]string) { a[v1alpha1.PoolIdleAnnotation] = "10" }, []string{`pool-idle "10" is no duration`}},
		{"nobody scales", func(_ *Source, a map[string]string) { a[v1alpha1.PoolScalerAnnotation] = "karpenter" }, []string{`"karpenter" is nobody`}},
		{"port groups", func(_ *Source, a map[string]string) { a[v1alpha1.PoolPortGroupsAnnotation] = "blue" }, []string{"blue=vlan120"}},
		{"memory 500mb", func(_ *Source, a map[string]string) { a[Capacity+"memory"] = "500mb" }, []string{`memory "500mb"`, "such as 8Gi"}},
		{"Pods", func(_ *Source, a map[string]string) { a[Capacity+"maxPods"] = "1e2" }, []string{`maxPods "1e2"`}},
		{"no size", func(s *Source, _ map[string]string) { s.Infra = nil }, []string{"nothing says how much cpu", Capacity + "cpu=4"}},
		{"no bootstrap", func(s *Source, _ map[string]string) { s.Bootstrap = nil }, []string{"KubeadmConfigTemplate"}},
		{"cards of another kind", func(s *Source, a map[string]string) {
			s.Infra = nil
			a[Capacity+"cpu"], a[Capacity+"memory"], a[v1alpha1.PoolPortGroupsAnnotation] = "4", "8Gi", "red=vlan120"
		}, []string{"to a VSphereMachineTemplate only"}},
		{"a ClusterClass", func(s *Source, _ map[string]string) {
			s.Base.SetLabels(map[string]string{"topology.cluster.x-k8s.io/owned": "", "topology.cluster.x-k8s.io/deployment-name": "md"})
		}, []string{"takes changes back", "Cluster.spec.topology.workers.machineDeployments: - {", `"cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size":"3"`,
			"tsunagu.node-restriction.kubernetes.io/blue=ready", "and 1 more like it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source(t, nil)
			a := s.Base.GetAnnotations()
			c.change(&s, a)
			s.Base.SetAnnotations(a)
			r, _, err := Parse(s.Base)
			if err == nil {
				_, err = r.Make(s)
			}
			for _, want := range append(c.want, "MachineDeployment machines/workers", "To fix: ") {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
			if err != nil && len(err.Error()) > 1024 {
				t.Errorf("%d letters do not fit into an Event", len(err.Error()))
			}
		})
	}
	s := source(t, nil)
	s.Base.SetAnnotations(nil)
	if _, asks, err := Parse(s.Base); asks || err != nil {
		t.Error(asks, err)
	}
}

// What the owner wrote in an odd spelling is told in the canonical one.
func TestSizesAreCanonical(t *testing.T) {
	p := made(t, source(t, map[string]string{Capacity + "cpu": "4000m", Capacity + "memory": "8388608Ki", Capacity + "maxPods": "0110"}))[0]
	for key, want := range map[string]string{"cpu": "4", "memory": "8Gi", "maxPods": "110"} {
		if got := p.Deployment.GetAnnotations()[Capacity+key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestOpens(t *testing.T) {
	both := []string{"blue", "red"}
	for _, c := range []struct {
		missing []string
		age     time.Duration
		open    bool
		words   string
	}{
		{nil, 0, true, ""},
		{[]string{"red"}, time.Minute, false, ""},
		{[]string{"red"}, startupMost, true, "takes Pods without red"},
		{both, startupMost, false, "takes no Pods: none of blue,red"},
	} {
		if open, trouble := Opens(c.missing, both, c.age); open != c.open || !strings.Contains(trouble, c.words) || c.words == "" && trouble != "" {
			t.Errorf("%v after %s: %v %q", c.missing, c.age, open, trouble)
		}
	}
}
