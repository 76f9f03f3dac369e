package scaleup

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// world is the set-up of the observations: a Ready Node of 4 CPUs and 8Gi in md-0, md-1 without one, one Pod that waits.
type world struct {
	*testing.T
	*Cluster
}

const esxiHost = "node.cluster.x-k8s.io/esxi-host"

func newWorld(t *testing.T) *world {
	w := &world{t, &Cluster{Autoscaler: Autoscaler{Version: Newest}}}
	w.group("md-0", 1, "", map[string]string{keyMin: "1", keyMax: "3"})
	w.Machines = append(w.Machines, w.object(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata: {name: md-0-a, namespace: default, labels: {cluster.x-k8s.io/deployment-name: md-0}}
status: {nodeRef: {name: n0}}`))
	w.Nodes = append(w.Nodes, *parse[corev1.Node](t, `
metadata: {name: n0, labels: {kubernetes.io/hostname: n0, kubernetes.io/os: linux, node.cluster.x-k8s.io/esxi-host: h1}}
status:
  allocatable: {cpu: "4", memory: 8Gi, pods: "110"}
  conditions: [{type: Ready, status: "True"}]`))
	return w
}

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func (w *world) object(text string) unstructured.Unstructured {
	w.Helper()
	return unstructured.Unstructured{Object: *parse[map[string]any](w.T, text)}
}

// group adds a MachineDeployment; labels are those of its template.
func (w *world) group(name string, replicas int, labels string, annotations map[string]string) {
	w.Helper()
	o := w.object(fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata: {name: %[1]s, namespace: default, labels: {pool: %[1]s}}
spec:
  clusterName: prod
  replicas: %[2]d
  template:
    metadata: {labels: {%[3]s}}
    spec: {infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: VSphereMachineTemplate, name: %[1]s}}`, name, replicas, labels))
	// YAML's whole numbers are floats until they were JSON once.
	must(w.T, unstructured.SetNestedField(o.Object, int64(replicas), "spec", "replicas"))
	o.SetAnnotations(annotations)
	g, err := ParseGroup(&o)
	must(w.T, err)
	w.Groups = append(w.Groups, g)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sized are the annotations of a group that is right, and more of them: key, value, …
func sized(more ...string) map[string]string {
	a := map[string]string{keyMin: "0", keyMax: "3", keyCPU: "4", keyMemory: "8Gi"}
	for i := 0; i < len(more); i += 2 {
		a[more[i]] = more[i+1]
	}
	return a
}

func (w *world) pod(spec string) *corev1.Pod {
	w.Helper()
	return parse[corev1.Pod](w.T, "metadata: {name: p1, namespace: default, labels: {app: web}}\nspec: "+spec)
}

// of finds the verdict on a group.
func of(t *testing.T, v Verdict, name string) GroupVerdict {
	t.Helper()
	for _, g := range v.Groups {
		if g.Group == "MachineDeployment default/"+name {
			return g
		}
	}
	t.Fatalf("no verdict on %s: %+v", name, v)
	return GroupVerdict{}
}

// has finds a problem of a code.
func has(problems []Problem, code Code) *Problem {
	for i := range problems {
		if problems[i].Code == code {
			return &problems[i]
		}
	}
	return nil
}
