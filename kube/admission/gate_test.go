package admission

import (
	"encoding/json"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// patched gives a Pod as it is after the webhook was asked.
func patched(t *testing.T, p *Placement, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	resp := p.Handle(t.Context(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "team", Object: runtime.RawExtension{Raw: raw}}})
	after := pod.DeepCopy()
	for _, op := range resp.Patches {
		value, err := json.Marshal(op.Value)
		if err == nil {
			switch op.Path {
			case "/spec/affinity":
				after.Spec.Affinity = nil
				err = json.Unmarshal(value, &after.Spec.Affinity)
			case "/spec/schedulingGates":
				after.Spec.SchedulingGates = nil
				err = json.Unmarshal(value, &after.Spec.SchedulingGates)
			case "/spec/topologySpreadConstraints":
				after.Spec.TopologySpreadConstraints = nil
				err = json.Unmarshal(value, &after.Spec.TopologySpreadConstraints)
			case "/metadata/annotations":
				after.Annotations = nil
				err = json.Unmarshal(value, &after.Annotations)
			default:
				t.Errorf("%s is changed", op.Path)
			}
		}
		if err != nil || op.Operation != "add" {
			t.Fatalf("%+v: %v", op, err)
		}
	}
	return after
}

func podOn(networks string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"k8s.v1.cni.cncf.io/networks": networks, "kept": "yes"}}}
}

// group makes a Network of a port group, which can be used or not.
func group(t *testing.T, p *Placement, name string, usable metav1.ConditionStatus) {
	t.Helper()
	c := p.Cached.(client.Client)
	n := &v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{PortGroup: &v1alpha1.PortGroup{Name: name}}}}
	n.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPortGroup, Status: usable}}
	if err := c.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), owned(name)); err != nil {
		t.Fatal(err)
	}
}

// A Pod is kept from the scheduler only if all that it lacks can be brought.
func TestGate(t *testing.T) {
	p := placing(t)
	p.Gates = true
	group(t, p, "usable", metav1.ConditionTrue)
	group(t, p, "other", metav1.ConditionTrue)
	group(t, p, "broken", metav1.ConditionFalse)
	for networks, want := range map[string]bool{"usable": true, "usable,other": true, "blue,usable": true, "blue": false, "red": false, "red,usable": false, "broken": false, "usable,broken": false, "local": false} {
		after := patched(t, p, podOn(networks))
		if got := len(after.Spec.SchedulingGates) == 1; got != want || (after.Annotations[v1alpha1.GatedAnnotation] != "") != want || after.Annotations["kept"] != "yes" {
			t.Errorf("%s: gates %v, annotations %v; want %v", networks, after.Spec.SchedulingGates, after.Annotations, want)
		}
	}
	own := podOn("usable")
	own.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
	after := patched(t, p, own)
	if len(after.Spec.SchedulingGates) != 2 || after.Spec.SchedulingGates[0].Name != "example.com/quota" {
		t.Errorf("%v", after.Spec.SchedulingGates)
	}
	if again := patched(t, p, after); len(again.Spec.SchedulingGates) != 2 {
		t.Errorf("a second time: %v", again.Spec.SchedulingGates)
	}
	daemon := podOn("usable")
	daemon.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: new(true)}}
	if after := patched(t, p, daemon); len(after.Spec.SchedulingGates) > 0 {
		t.Errorf("a DaemonSet's: %v", after.Spec.SchedulingGates)
	}
	p.Gates = false
	if after := patched(t, p, podOn("usable")); len(after.Spec.SchedulingGates) > 0 || after.Spec.Affinity == nil {
		t.Errorf("off: %+v", after.Spec)
	}
}

// Pods of one workload are spread over hosts where a network asks for it and nodes tell their host; never as a requirement.
func TestSpread(t *testing.T) {
	p := placing(t)
	c := p.Cached.(client.Client)
	wide := &v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: "wide"}, Spec: v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{Interface: "eth1"}, Spread: v1alpha1.SpreadHosts}}
	if err := c.Create(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), owned("wide")); err != nil {
		t.Fatal(err)
	}
	of := func(networks string) *corev1.Pod {
		pod := podOn(networks)
		pod.Labels = map[string]string{"app": "web", "pod-template-hash": "abc"}
		return pod
	}
	if after := patched(t, p, of("wide")); len(after.Spec.TopologySpreadConstraints) > 0 {
		t.Errorf("no node tells its host: %v", after.Spec.TopologySpreadConstraints)
	}
	if err := c.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"node.cluster.x-k8s.io/esxi-host": "h1"}}}); err != nil {
		t.Fatal(err)
	}
	p.seen = sighting{}
	after := patched(t, p, of("wide,blue"))
	got, _ := json.Marshal(after.Spec.TopologySpreadConstraints)
	if want := `[{"maxSkew":1,"topologyKey":"node.cluster.x-k8s.io/esxi-host","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"web"}},"matchLabelKeys":["pod-template-hash"]}]`; string(got) != want {
		t.Errorf("%s", got)
	}
	if again := patched(t, p, after); len(again.Spec.TopologySpreadConstraints) != 1 {
		t.Errorf("a second time: %v", again.Spec.TopologySpreadConstraints)
	}
	if after := patched(t, p, of("blue")); len(after.Spec.TopologySpreadConstraints) > 0 {
		t.Error("a network that does not ask for it")
	}
	alone := podOn("wide")
	if after := patched(t, p, alone); len(after.Spec.TopologySpreadConstraints) > 0 {
		t.Error("a Pod without labels is like no other")
	}
}
