package kube

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/attach"
)

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestPods(t *testing.T) {
	a := newAPIServer(t)
	const path = "/api/v1/namespaces/default/pods/"
	pod := func(name, uid, networks string) map[string]any {
		return meta("meta.k8s.io/v1", "PartialObjectMetadata", "default", name, uid, map[string]any{"annotations": map[string]string{
			attach.SelectionAnnotation: networks, "other": "not kept"}})
	}
	a.objects[path+"web"] = pod("web", "u1", "blue")
	pods := NewPods(a.Client, "node1")
	run(t, pods.Run)
	eventually(t, "synced", pods.Synced)
	got, err := pods.Pod(t.Context(), "default", "web", "u1")
	if err != nil || got != (attach.Pod{Namespace: "default", Name: "web", UID: "u1", Networks: "blue"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := a.count("get pods"); n != 0 {
		t.Errorf("%d reads of a Pod that is known", n)
	}
	// One that the watch tells of while it is waited for.
	eventually(t, "a watch", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.watches["pods"]) > 0 })
	go a.tell("pods", "ADDED", pod("late", "u2", ""))
	if got, err = pods.Pod(t.Context(), "default", "late", "u2"); err != nil || got.UID != "u2" {
		t.Errorf("got %+v, %v", got, err)
	}
	// One that only the API server knows yet.
	a.mu.Lock()
	a.objects[path+"quick"] = pod("quick", "u3", "red")
	a.mu.Unlock()
	if got, err = pods.Pod(t.Context(), "default", "quick", "u3"); err != nil || got.Networks != "red" {
		t.Errorf("got %+v, %v", got, err)
	}
	// Nobody, and another one of the same name.
	for name, uid := range map[string]string{"nobody": "x", "web": "x"} {
		if got, err := pods.Pod(t.Context(), "default", name, uid); !errors.Is(err, attach.ErrNotFound) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	a.fail["GET "+path+"unknown"] = http.StatusInternalServerError
	if _, err := pods.Pod(t.Context(), "default", "unknown", ""); !errors.Is(err, attach.ErrUnavailable) {
		t.Errorf("API server in trouble: %v", err)
	}
	if known, complete := pods.Known(); !complete || !known["u1"] || !known["u2"] || len(known) != 2 {
		t.Errorf("known %v, %v", known, complete)
	}
	if twice, err := stripPod(object("set-0")); err != nil || toPod(mustStrip(t, twice)).Owner.Name != "set" {
		t.Errorf("stripped twice it is %+v, %v", twice, err)
	}
	if object, _, _ := pods.store.GetByKey("default/web"); strings.Contains(toJSON(t, object), "not kept") {
		t.Error("the copy keeps what nobody reads")
	}
}

// object is a Pod of the StatefulSet "set".
func object(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "example.org/v1", Kind: "Other", Name: "other"}, {APIVersion: "apps/v1", Kind: "StatefulSet", Name: "set", UID: "u", Controller: new(true)}}}}
}

func mustStrip(t *testing.T, o any) *metav1.PartialObjectMetadata {
	t.Helper()
	again, err := stripPod(o)
	if err != nil {
		t.Fatal(err)
	}
	return again.(*metav1.PartialObjectMetadata)
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestStaticPodIsKnownByBothUIDs(t *testing.T) {
	pod := attach.Pod{UID: "mirror", StaticUID: "kubelet"}
	if !pod.Is("mirror") || !pod.Is("kubelet") || !pod.Is("") || pod.Is("x") || (attach.Pod{UID: "a"}).Is("x") {
		t.Error("identity of static Pods")
	}
}

func TestDefinitionsAndPools(t *testing.T) {
	a := newAPIServer(t)
	a.objects["/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/blue"] = meta("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", "default", "blue", "u",
		map[string]any{"labels": map[string]string{"tsunagu.dev/network": "blue"}, "spec": map[string]string{"config": `{"type":"ptp"}`}})
	a.objects["/apis/tsunagu.dev/v1alpha1/ippools/p"] = meta("tsunagu.dev/v1alpha1", "IPPool", "", "p", "u", map[string]any{"spec": map[string]string{"cidr": "10.1.0.0/24"}})
	definitions, pools := NewDefinitions(a.Client), NewPools(a.Client)
	run(t, definitions.Run)
	run(t, pools.Run)
	eventually(t, "synced", func() bool { return definitions.Synced() && pools.Synced() })
	d, err := definitions.Definition(t.Context(), "default", "blue")
	if want := (attach.Definition{Namespace: "default", Name: "blue", Network: "blue", Config: `{"type":"ptp"}`}); err != nil || d != want {
		t.Errorf("got %+v, %v", d, err)
	}
	if all := definitions.All(); len(all) != 1 || all[0] != d {
		t.Errorf("got %+v", all)
	}
	if _, err := definitions.Definition(t.Context(), "default", "red"); !errors.Is(err, attach.ErrNotFound) {
		t.Error(err)
	}
	p, err := pools.Pool(t.Context(), "p")
	if err != nil || p.Prefix.String() != "10.1.0.0/24" || p.Domain != "default" {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := pools.Pool(t.Context(), "q"); !errors.Is(err, attach.ErrNotFound) {
		t.Error(err)
	}
}

func TestNodes(t *testing.T) {
	a := newAPIServer(t)
	a.objects["/api/v1/nodes/node1"] = meta("v1", "Node", "", "node1", "u1", map[string]any{
		"spec": map[string]any{"podCIDR": "10.244.1.0/24", "podCIDRs": []string{"10.244.1.0/24", "fd00:1::/64"}},
		"status": map[string]any{"addresses": []map[string]string{{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": "172.30.0.11"},
			{"type": "InternalIP", "address": "fd00::11"}}, "images": []map[string]any{{"names": []string{"large"}}}},
	})
	nodes := NewNodes(a.Client)
	run(t, nodes.Run)
	eventually(t, "synced", nodes.Synced)
	n, ok := nodes.Node("node1")
	if !ok || n.UID != "u1" || len(n.PodCIDRs) != 2 || len(n.Addresses) != 2 || n.Addresses[1].String() != "fd00::11" {
		t.Errorf("got %+v", n)
	}
	if object, _, _ := nodes.store.GetByKey("node1"); strings.Contains(toJSON(t, object), "large") {
		t.Error("the copy keeps what nobody reads")
	}
}

func TestReport(t *testing.T) {
	a := newAPIServer(t)
	pod := attach.Pod{Namespace: "default", Name: "web", UID: "u1"}
	const path = "/api/v1/namespaces/default/pods/web/status"
	if err := NewStatuses(a.Client).Report(t.Context(), pod, "[]"); err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/network-status":"[]"},"uid":"u1"}}`
	if got := string(a.body("PATCH " + path)); got != want {
		t.Errorf("got %s", got)
	}
	if a.count("patch pods/status") != 1 || len(a.asked) != 1 {
		t.Errorf("asked %v, want one request", a.asked)
	}
	for _, code := range []int{http.StatusNotFound, http.StatusConflict} {
		a.fail["PATCH "+path] = code
		if err := NewStatuses(a.Client).Report(t.Context(), pod, "[]"); !errors.Is(err, attach.ErrNotFound) {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

func TestEventsAreCounted(t *testing.T) {
	a := newAPIServer(t)
	events := NewEvents(a.Client, "node1", quietLog())
	pod := attach.Pod{Namespace: "default", Name: "web", UID: "u1"}
	run(t, events.Run)
	const path = "/api/v1/namespaces/default/events"
	events.Warn(pod, "UnknownNetwork", "there is no such network")
	eventually(t, "written", func() bool { return a.count("post events") == 1 })
	e := a.decodeEvent(a.body("POST " + path))
	if e.Type != "Warning" || e.Reason != "UnknownNetwork" || e.Message != "there is no such network" || e.Count != 1 || e.InvolvedObject.Kind != "Pod" ||
		e.InvolvedObject.Name != "web" || e.InvolvedObject.UID != "u1" || e.Source.Host != "node1" || e.FirstTimestamp.IsZero() {
		t.Errorf("got %+v", e)
	}
	events.Warn(pod, "UnknownNetwork", "there is no such network")
	eventually(t, "counted", func() bool { return a.count("patch events") == 1 })
	if got := string(a.body("PATCH " + path + "/" + e.Name)); !strings.Contains(got, `"count":2`) {
		t.Errorf("got %s", got)
	}
	events.Warn(pod, "UnknownNetwork", "there is no such other network")
	eventually(t, "another one", func() bool { return a.count("post events") == 2 })
	// One that the API server has forgotten is written anew.
	a.mu.Lock()
	a.fail["PATCH "+path+"/"+e.Name] = http.StatusNotFound
	a.mu.Unlock()
	events.Warn(pod, "UnknownNetwork", "there is no such network")
	eventually(t, "written anew", func() bool { return a.count("post events") == 3 })
	long := strings.Repeat("語", 1000)
	events.Note(pod, "AddedInterface", long)
	eventually(t, "a long one", func() bool { return a.count("post events") == 4 })
	if got := a.decodeEvent(a.body("POST " + path)).Message; len(got) > longestMessage || !strings.HasSuffix(got, "語...") {
		t.Errorf("%d bytes, ends with %q", len(got), got[len(got)-10:])
	}
}

// While the API server is away events wait, and are counted.
func TestEventsWaitForTheAPIServer(t *testing.T) {
	a := newAPIServer(t)
	away := true
	c, err := Connect(&rest.Config{Host: a.url, WrapTransport: func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			a.mu.Lock()
			gone := away
			a.mu.Unlock()
			if gone {
				return nil, errors.New("connection refused")
			}
			return next.RoundTrip(r)
		})
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	events := NewEvents(c, "node1", quietLog())
	run(t, events.Run)
	for range 3 {
		events.Warn(attach.Pod{Namespace: "default", Name: "web"}, "Unavailable", "the API server is away")
	}
	time.Sleep(20 * time.Millisecond)
	a.mu.Lock()
	away = false
	a.mu.Unlock()
	eventually(t, "written", func() bool { return a.body("POST /api/v1/namespaces/default/events") != nil })
	if e := a.decodeEvent(a.body("POST /api/v1/namespaces/default/events")); e.Count != 3 {
		t.Errorf("count %d, want 3", e.Count)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Events that wait are written before the agent ends.
func TestEventsAreWrittenAtTheEnd(t *testing.T) {
	a := newAPIServer(t)
	events := NewEvents(a.Client, "node1", quietLog())
	events.Warn(attach.Pod{Namespace: "default", Name: "web"}, "PoolFull", "nothing is left")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := events.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if a.count("post events") != 1 {
		t.Errorf("asked %v", a.asked)
	}
}

func TestDescribe(t *testing.T) {
	for url, want := range map[string]string{
		"/api/v1/nodes":                                                        "list nodes",
		"/api/v1/nodes?watch=true":                                             "watch nodes",
		"/api/v1/pods?watch=1":                                                 "watch pods",
		"/api/v1/namespaces/default":                                           "get namespaces",
		"/api/v1/namespaces/default/pods/web":                                  "get pods",
		"/api/v1/namespaces/default/pods/web/status":                           "get pods/status",
		"/apis/tsunagu.dev/v1alpha1/ippools/p":                                 "get ippools",
		"/apis/k8s.cni.cncf.io/v1/namespaces/a/network-attachment-definitions": "list network-attachment-definitions",
		"/": "list ",
	} {
		r, err := http.NewRequest(http.MethodGet, "http://x"+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if verb, resource := describe(r); verb+" "+resource != want {
			t.Errorf("%s: %s %s, want %s", url, verb, resource, want)
		}
	}
}
