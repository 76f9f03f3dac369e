package admission

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"context"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// cluster is an API server in memory with some objects.
func cluster(t testing.TB, objects ...client.Object) client.Client {
	t.Helper()
	scheme, err := ownKinds()
	if err != nil {
		t.Fatal(err)
	}
	if err := networkingv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&v1alpha1.IPBlock{}, DomainField, func(o client.Object) []string { return []string{o.(*v1alpha1.IPBlock).Spec.Domain} }).
		Build()
}

// usedBooks say what each pool holds.
type usedBooks map[string][]netip.Addr

func (b usedBooks) Count(_ context.Context, p ipam.Pool) (used int64, outside []netip.Addr, err error) {
	for _, a := range b[p.Domain] {
		switch {
		case p.Contains(a):
			used++
		case p.Prefix.Contains(a):
			outside = append(outside, a)
		}
	}
	return used, outside, nil
}

func read[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return o
}

func nad(namespace, name, config string) *nadv1.NetworkAttachmentDefinition {
	return &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: config}}
}

// world is what the tests find: namespace team, network blue with a pool, a
// Pod that has .12 of it and another, unnamed, that has .33.
func world(t testing.TB) *Desk {
	t.Helper()
	owned := nad("other", "green", `{"type":"macvlan","master":"eth1"}`)
	owned.Labels = map[string]string{v1alpha1.NetworkLabel: "green"}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}},
		read[corev1.Node](t, `
metadata: {name: node1}
spec: {podCIDRs: [10.244.0.0/24, "fd00:10:244::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}, {type: Hostname, address: node1}]}`),
		read[networkingv1.ServiceCIDR](t, `{metadata: {name: kubernetes}, spec: {cidrs: [10.96.0.0/16]}}`),
		read[v1alpha1.IPPool](t, `
metadata: {name: blue-a}
spec: {domain: blue, cidr: 192.168.90.0/24, gateway: 192.168.90.1, ranges: [192.168.90.10-192.168.90.50], exclude: [192.168.90.20]}`),
		read[v1alpha1.Network](t, `{metadata: {name: prod, uid: n1}, spec: {attachment: {kind: bridge}, reach: {trunk: eth1, vlan: 120}, subnets: [{cidr: 10.120.0.0/16}]}}`),
		nad("team", "blue", `{"type":"macvlan","master":"eth1","ipam":{"type":"tsunagu","pools":["blue-a"]}}`),
		nad("team", "broken", `{"type":"macvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.1.0.0/24","exclude":["10.1.0.300"]}}`),
		owned,
		read[v1alpha1.IPAddress](t, `
metadata: {name: blue.192-168-90-12}
spec: {domain: blue, address: 192.168.90.12, pool: blue-a, owner: {node: node1, nodeUID: u1, namespace: team, pod: db-0, podUID: p1, containerID: c1, interface: net1}}`),
		read[v1alpha1.IPAddress](t, `
metadata: {name: blue.192-168-90-13}
spec: {domain: blue, address: 192.168.90.13, reserved: the printer}`),
		read[v1alpha1.IPAddress](t, `
metadata: {name: blue.192-168-90-14}
spec: {domain: blue, address: 192.168.90.14, claim: {namespace: elsewhere, name: vm, uid: c9}}`),
		read[v1alpha1.IPAddress](t, `
metadata: {name: blue.192-168-90-15}
spec: {domain: blue, address: 192.168.90.15, quarantine: {mac: "02:00:00:00:00:09", node: node1, seconds: 600, seen: "2026-01-01T00:00:00Z"}}`),
		read[v1alpha1.IPClaim](t, `{metadata: {namespace: team, name: vm-a, uid: c1}, spec: {network: blue}, status: {addresses: [{address: 192.168.90.16/24, domain: blue, pool: blue-a}]}}`),
		read[v1alpha1.IPClaim](t, `{metadata: {namespace: team, name: vm-b, uid: c2}, spec: {network: blue, interface: data, pod: vm-b}}`),
		read[v1alpha1.IPAddress](t, `
metadata: {name: blue.192-168-90-16}
spec: {domain: blue, address: 192.168.90.16, claim: {namespace: team, name: vm-a, uid: c1}, owner: {node: node1, nodeUID: u1, namespace: team, pod: vm-a-1, podUID: p3, containerID: c3, interface: net1}}`),
		ipam.Block{Domain: "blue", Prefix: netip.MustParsePrefix("192.168.90.32/29"), Node: "node1", NodeUID: "u1",
			State: v1alpha1.BlockOwned, Used: 1 << 1, UsedCount: 1, Meta: ipam.Meta{Name: "blue.192-168-90-32"}}.Object(),
	}
	c := cluster(t, objects...)
	return &Desk{Cached: c, Live: c, Log: slog.New(slog.DiscardHandler), Books: usedBooks{"blue": {
		netip.MustParseAddr("192.168.90.12"), netip.MustParseAddr("192.168.90.33")}}}
}

// ask sends an AdmissionReview as the API server does.
func ask(t testing.TB, d *Desk, review *admissionv1.AdmissionReview) *admissionv1.AdmissionResponse {
	t.Helper()
	s, err := NewServer("", map[string]ctrladmission.Handler{Path: d}, d.Log)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || answer.Response == nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if answer.Response.UID != review.Request.UID {
		t.Fatalf("the answer is for %q, not %q", answer.Response.UID, review.Request.UID)
	}
	return answer.Response
}

// review is a request about an object written as YAML; old is "" for a
// creation, next is "" for a deletion.
func review(t testing.TB, resource, kind, namespace, next, old string) *admissionv1.AdmissionReview {
	t.Helper()
	raw := func(text string) runtime.RawExtension {
		if text == "" {
			return runtime.RawExtension{}
		}
		b, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return runtime.RawExtension{Raw: b}
	}
	operation := admissionv1.Update
	switch "" {
	case old:
		operation = admissionv1.Create
	case next:
		operation = admissionv1.Delete
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{UID: "1-2-3", Kind: metav1.GroupVersionKind{Kind: kind}, Resource: metav1.GroupVersionResource{Resource: resource},
			Namespace: namespace, Operation: operation, Object: raw(next), OldObject: raw(old)},
	}
}

// says checks that the answer lets the request pass, with exactly one warning
// per element of want, each of whose words, separated by "|", it has.
func says(t *testing.T, got *admissionv1.AdmissionResponse, want ...string) {
	t.Helper()
	if !got.Allowed {
		t.Errorf("denied: %v", got.Result)
	}
	if len(got.Warnings) != len(want) {
		t.Errorf("got %d warnings, want %d:\n%s", len(got.Warnings), len(want), strings.Join(got.Warnings, "\n"))
		return
	}
	for i, w := range want {
		for _, word := range strings.Split(w, "|") {
			if !strings.Contains(got.Warnings[i], word) {
				t.Errorf("warning %d does not say %q: %s", i, word, got.Warnings[i])
			}
		}
		if !strings.HasPrefix(got.Warnings[i], "tsunagu: ") {
			t.Errorf("warning %d does not say who speaks: %s", i, got.Warnings[i])
		}
	}
}
