package admission

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"pgregory.net/rapid"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// placing is a cluster with Networks blue (an interface), red (a VLAN of a
// trunk) and local (a bridge on each node), which Pods of team select, and one
// node that has blue.
func placing(t testing.TB) *Placement {
	t.Helper()
	made := func(name string, reach *v1alpha1.Reach) *v1alpha1.Network {
		return &v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NetworkSpec{Reach: reach}}
	}
	has := func(node string, states ...v1alpha1.NodeNetworkState) *v1alpha1.NodeNetwork {
		return &v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: v1alpha1.NodeNetworkStatus{Networks: states}}
	}
	c := cluster(t,
		made("blue", &v1alpha1.Reach{Interface: "eth1"}), made("red", &v1alpha1.Reach{Trunk: "eth2", VLAN: 7}), made("local", nil),
		has("n1", v1alpha1.NodeNetworkState{Name: "blue", Phase: v1alpha1.NetworkPhaseReady}, v1alpha1.NodeNetworkState{Name: "red", Phase: v1alpha1.NetworkPhaseMissing, Message: "the node has no interface eth2; it has eth1"}),
		owned("blue"), owned("red"), owned("local"), nad("team", "by-hand", `{"type":"macvlan","master":"eth1"}`))
	return &Placement{Cached: c, Live: c, Log: quiet}
}

func owned(name string) *nadv1.NetworkAttachmentDefinition {
	d := nad("team", name, `{"type":"macvlan","master":"eth1"}`)
	d.Labels = map[string]string{v1alpha1.NetworkLabel: name}
	return d
}

// asked sends a Pod and gives the affinity that it has then, nil for the one that it had.
func asked(t testing.TB, p *Placement, pod string) (affinity *corev1.Affinity, warnings []string) {
	t.Helper()
	resp := p.Handle(t.Context(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "team", Object: runtime.RawExtension{Raw: []byte(pod)}}})
	if !resp.Allowed || len(resp.Patches) > 1 {
		t.Fatalf("%+v", resp)
	}
	if len(resp.Patches) == 0 {
		return nil, resp.Warnings
	}
	if op := resp.Patches[0]; op.Operation != "add" || op.Path != "/spec/affinity" {
		t.Fatalf("%+v", op)
	}
	raw, err := json.Marshal(resp.Patches[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	affinity = &corev1.Affinity{}
	if err := json.Unmarshal(raw, affinity); err != nil {
		t.Fatal(err)
	}
	return affinity, resp.Warnings
}

// fits tells whether the scheduler would put a Pod of that affinity on a node with these labels.
func fits(t testing.TB, a *corev1.Affinity, node map[string]string) bool {
	t.Helper()
	pod := &corev1.Pod{Spec: corev1.PodSpec{Affinity: a}}
	ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: node}})
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

const ready = v1alpha1.NetworkReadyPrefix

func TestPlacement(t *testing.T) {
	p := placing(t)
	for _, c := range []struct {
		name, networks, spec string
		needs                []string
		says                 string
	}{
		{"none", "", `{}`, nil, ""},
		{"one", "blue", `{}`, []string{"blue"}, ""},
		{"two, one twice", "blue,red,team/blue@x1", `{}`, []string{"blue", "red"}, "no node has network red, so the Pod waits until one does; n1: the node has no interface eth2; it has eth1"},
		{"one that each node has", "local", `{}`, nil, ""},
		{"a definition written by hand", "by-hand", `{}`, nil, ""},
		{"an unknown one", "blu", `{}`, nil, ""},
		{"an annotation that cannot be read", "[{", `{}`, nil, ""},
		{"host network", "blue", `{"hostNetwork":true}`, nil, ""},
		{"bound already", "blue", `{"nodeName":"n9"}`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := `{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":` + quoted(t, c.networks) + `}},"spec":` + c.spec + `}`
			a, warnings := asked(t, p, pod)
			if got := strings.TrimPrefix(strings.Join(warnings, ""), "tsunagu: "); got != c.says {
				t.Errorf("says %q, want %q", got, c.says)
			}
			if len(c.needs) == 0 {
				if a != nil {
					t.Errorf("%+v", a)
				}
				return
			}
			node := map[string]string{}
			for _, n := range c.needs {
				if fits(t, a, node) {
					t.Errorf("a node without %s is taken", n)
				}
				node[ready+n] = "ready"
			}
			if !fits(t, a, node) {
				t.Error("a node with all of them is not taken")
			}
		})
	}
}

// Whatever a Pod requires already, it goes where it went before and the networks are, and nowhere else; a second time nothing changes.
func TestRequireKeepsWhatThereIs(t *testing.T) {
	values := rapid.SampledFrom([]string{"a", "b", "ready"})
	keys := rapid.SampledFrom([]string{"zone", "disk", ready + "blue"})
	rapid.Check(t, func(rt *rapid.T) {
		requirement := rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
			r := corev1.NodeSelectorRequirement{Key: keys.Draw(t, "key"), Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")}
			if r.Operator == "In" || r.Operator == "NotIn" {
				r.Values = rapid.SliceOfN(values, 1, 2).Draw(t, "values")
			}
			return r
		})
		term := rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
			term := corev1.NodeSelectorTerm{MatchExpressions: rapid.SliceOfN(requirement, 0, 2).Draw(t, "expressions")}
			if rapid.Bool().Draw(t, "fields") {
				term.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{rapid.SampledFrom([]string{"n", "m"}).Draw(t, "node")}}}
			}
			return term
		})
		var before *corev1.Affinity
		raw := map[string]any(nil)
		if rapid.Bool().Draw(rt, "has an affinity") {
			before = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: rapid.SliceOfN(term, 1, 3).Draw(rt, "terms")}}}
			text, _ := json.Marshal(before)
			_ = json.Unmarshal(text, &raw)
		}
		had, _ := json.Marshal(raw)
		next, _ := require(raw, []string{"blue", "red"})
		if now, _ := json.Marshal(raw); string(now) != string(had) {
			rt.Fatalf("the request was changed: %s, was %s", now, had)
		}
		text, _ := json.Marshal(next)
		after := &corev1.Affinity{}
		if err := json.Unmarshal(text, after); err != nil {
			rt.Fatal(err)
		}
		for range 8 {
			node := rapid.MapOf(rapid.SampledFrom([]string{"zone", "disk", ready + "blue", ready + "red"}), values).Draw(rt, "node")
			want := fits(t, before, node) && node[ready+"blue"] == "ready" && node[ready+"red"] == "ready"
			if blueAsked(before) { // a Pod that asks for another value of our label gets what it asks for
				want = want || fits(t, after, node) && fits(t, before, node)
			}
			if got := fits(t, after, node); got != want {
				rt.Fatalf("node %v: %v, want %v\nbefore %s\nafter %s", labels.Set(maps.Clone(node)), got, want, had, text)
			}
		}
		if again, changed := require(next, []string{"blue", "red"}); changed {
			rt.Fatalf("a second time: %v", again)
		}
	})
}

func blueAsked(a *corev1.Affinity) bool {
	if a == nil {
		return false
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, e := range t.MatchExpressions {
			if e.Key == ready+"blue" && e.Operator == "In" {
				return true
			}
		}
	}
	return false
}

// BenchmarkPlacement is one request for a Pod with two networks.
func BenchmarkPlacement(b *testing.B) {
	p := placing(b)
	raw := []byte(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"blue,local"}},"spec":{}}`)
	for b.Loop() {
		p.Handle(b.Context(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "team", Object: runtime.RawExtension{Raw: raw}}})
	}
}
