package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const chartPath = "../../deploy/chart/tsunagu"

// render returns the objects of the chart by kind, namespace and name.
func render(t *testing.T, values map[string]any) (map[string]unstructured.Unstructured, *chart.Chart) {
	t.Helper()
	c, err := loader.Load(chartPath)
	if err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "tsunagu", Namespace: "tsunagu-system", IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := engine.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]unstructured.Unstructured{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		some, err := Decode([]byte(texts[name]))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, texts[name])
		}
		for _, o := range some {
			objects[key(o)] = o
		}
	}
	return objects, c
}

func key(o unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// With its own values the chart is the plain manifests.
func TestChartRendersTheManifests(t *testing.T) {
	have, _ := render(t, map[string]any{"namespace": map[string]any{"create": true}})
	plain, err := Read("../../deploy/tsunagu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range plain {
		o, ok := have[key(want)]
		if !ok {
			t.Errorf("the chart has no %s", key(want))
			continue
		}
		delete(have, key(want))
		if d := cmp.Diff(want.Object, o.Object); d != "" {
			t.Errorf("%s: manifest (-) and chart (+) differ:\n%s", key(want), d)
		}
	}
	for name := range have {
		t.Errorf("only the chart has %s", name)
	}
}

func TestChartHasTheDefinitions(t *testing.T) {
	_, c := render(t, nil)
	want, err := Read(crds)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, crd := range c.CRDObjects() {
		objects, err := Decode(crd.File.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			have[o.GetName()] = true
		}
	}
	for _, o := range want {
		if !have[o.GetName()] {
			t.Errorf("the chart lacks %s", o.GetName())
		}
	}
}

func TestChartValues(t *testing.T) {
	have, _ := render(t, map[string]any{
		"image":      map[string]any{"repository": "registry.example/t", "tag": "v9", "pullSecrets": []any{map[string]any{"name": "s"}}},
		"cni":        map[string]any{"binDir": "/var/lib/cni/bin"},
		"agent":      map[string]any{"args": []any{"--log-level=debug"}},
		"controller": map[string]any{"replicas": 3},
	})
	if _, ok := have["Namespace /tsunagu-system"]; ok {
		t.Error("the chart renders a Namespace unasked")
	}
	agent := have["DaemonSet tsunagu-system/tsunagu-agent"]
	spec, _, _ := unstructured.NestedMap(agent.Object, "spec", "template", "spec")
	c := spec["containers"].([]any)[0].(map[string]any)
	if c["image"] != "registry.example/t:v9" || !cmp.Equal(c["args"], []any{"--http=:9871", "--host-root=/host", "--log-level=debug"}) {
		t.Errorf("agent runs %v %v", c["image"], c["args"])
	}
	if n, _, _ := unstructured.NestedInt64(have["Deployment tsunagu-system/tsunagu-controller"].Object, "spec", "replicas"); n != 3 {
		t.Errorf("%d controllers", n)
	}
	dirs := ""
	for _, v := range spec["volumes"].([]any) {
		dirs += v.(map[string]any)["hostPath"].(map[string]any)["path"].(string) + " "
	}
	if !strings.Contains(dirs, "/var/lib/cni/bin") {
		t.Errorf("volumes are %s", dirs)
	}
}

// Node pools bring the flag, and the rights that nobody else's need.
func TestChartNodePools(t *testing.T) {
	objects, _ := render(t, map[string]any{"controller": map[string]any{"nodePools": true, "args": []any{"--log-level=debug"}}})
	containers, _, _ := unstructured.NestedSlice(objects["Deployment tsunagu-system/tsunagu-controller"].Object, "spec", "template", "spec", "containers")
	if len(containers) != 1 {
		t.Fatalf("%d containers", len(containers))
	}
	if diff := cmp.Diff([]any{"--log-level=debug", "--node-pools"}, containers[0].(map[string]any)["args"]); diff != "" {
		t.Error(diff)
	}
	rules, _, _ := unstructured.NestedSlice(objects["ClusterRole /tsunagu-controller"].Object, "rules")
	may := map[string]any{}
	for _, r := range rules {
		if r := r.(map[string]any); cmp.Equal(r["apiGroups"], []any{"cluster.x-k8s.io"}) {
			may[r["resources"].([]any)[0].(string)] = r["verbs"]
		}
	}
	if diff := cmp.Diff(map[string]any{"machinedeployments": []any{"list"}, "machinedeployments/scale": []any{"patch"}, "machines": []any{"list", "patch"}}, may); diff != "" {
		t.Error(diff)
	}
}

// Scheduling gates bring the flag, and the right to take them away.
func TestChartSchedulingGates(t *testing.T) {
	for on, want := range map[bool][]any{true: {"get", "patch"}, false: nil} {
		objects, _ := render(t, map[string]any{"controller": map[string]any{"schedulingGates": on}})
		containers, _, _ := unstructured.NestedSlice(objects["Deployment tsunagu-system/tsunagu-controller"].Object, "spec", "template", "spec", "containers")
		if len(containers) != 1 {
			t.Fatalf("%d containers", len(containers))
		}
		args, _ := containers[0].(map[string]any)["args"].([]any)
		if on != slices.Contains(args, any("--scheduling-gates")) {
			t.Errorf("%v: the flags are %v", on, args)
		}
		rules, _, _ := unstructured.NestedSlice(objects["ClusterRole /tsunagu-controller"].Object, "rules")
		var may []any
		for _, r := range rules {
			if r := r.(map[string]any); cmp.Equal(r["resources"], []any{"pods"}) && slices.Contains(r["verbs"].([]any), any("patch")) {
				may = r["verbs"].([]any)
			}
		}
		if diff := cmp.Diff(want, may); diff != "" {
			t.Errorf("%v: %s", on, diff)
		}
	}
}

// Events about the autoscaler bring the flag, and rights to read: none to change anything.
func TestChartScaleUpEvents(t *testing.T) {
	rights := func(on bool) (args []any, may map[string][]any) {
		objects, _ := render(t, map[string]any{"controller": map[string]any{"scaleUpEvents": on}})
		containers, _, _ := unstructured.NestedSlice(objects["Deployment tsunagu-system/tsunagu-controller"].Object, "spec", "template", "spec", "containers")
		if len(containers) != 1 {
			t.Fatalf("%d containers", len(containers))
		}
		args, _ = containers[0].(map[string]any)["args"].([]any)
		rules, _, _ := unstructured.NestedSlice(objects["ClusterRole /tsunagu-controller"].Object, "rules")
		may = map[string][]any{}
		for _, r := range rules {
			r := r.(map[string]any)
			for _, group := range r["apiGroups"].([]any) {
				for _, resource := range r["resources"].([]any) {
					key := fmt.Sprintf("%v/%v", group, resource)
					may[key] = append(may[key], r["verbs"].([]any)...)
				}
			}
		}
		return args, may
	}
	without, before := rights(false)
	with, after := rights(true)
	if slices.Contains(without, any("--scale-up-events")) || !slices.Contains(with, any("--scale-up-events")) {
		t.Errorf("the flags are %v and %v", without, with)
	}
	more := map[string][]any{}
	for key, verbs := range after {
		for _, v := range verbs {
			if !slices.Contains(before[key], v) {
				more[key] = append(more[key], v)
			}
		}
	}
	list := []any{"list"}
	want := map[string][]any{"apps/deployments": list, "cluster.x-k8s.io/machinedeployments": list, "cluster.x-k8s.io/machinesets": list, "cluster.x-k8s.io/machinepools": list,
		"cluster.x-k8s.io/machines": list, "infrastructure.cluster.x-k8s.io/*": {"get"}, "authorization.k8s.io/subjectaccessreviews": {"create"}}
	if len(before["/nodes"]) == 0 || !slices.Contains(before["/nodes"], any("list")) {
		want["/nodes"] = list
	}
	if diff := cmp.Diff(want, more); diff != "" {
		t.Error(diff)
	}
}

// Pools are made where the owner of the cluster said so, and nowhere else.
func TestChartPoolNamespaces(t *testing.T) {
	objects, _ := render(t, map[string]any{"controller": map[string]any{"nodePools": true, "poolNamespaces": []any{"machines"}}})
	role, bound := objects["Role machines/tsunagu-controller-pools"], objects["RoleBinding machines/tsunagu-controller-pools"]
	rules, _, _ := unstructured.NestedSlice(role.Object, "rules")
	may := map[string]any{}
	for _, r := range rules {
		may[r.(map[string]any)["resources"].([]any)[0].(string)] = r.(map[string]any)["verbs"]
	}
	template := []any{"get", "create", "delete"}
	if diff := cmp.Diff(map[string]any{"machinedeployments": []any{"create", "patch", "delete"}, "vspheremachinetemplates": template, "kubeadmconfigtemplates": template}, may); diff != "" {
		t.Error(diff)
	}
	subjects, _, _ := unstructured.NestedSlice(bound.Object, "subjects")
	if diff := cmp.Diff([]any{map[string]any{"kind": "ServiceAccount", "name": "tsunagu-controller", "namespace": "tsunagu-system"}}, subjects); diff != "" {
		t.Error(diff)
	}
	objects, _ = render(t, map[string]any{"controller": map[string]any{"poolNamespaces": []any{"machines"}}})
	if _, there := objects["Role machines/tsunagu-controller-pools"]; there {
		t.Error("rights without the flag")
	}
}
