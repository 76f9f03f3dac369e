package kube

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// apiServer answers just enough to see what is asked of it: objects by path, lists of what is below a path, and watches in which nothing
// happens until tell.
type apiServer struct {
	t *testing.T
	*Client
	url string

	mu      sync.Mutex
	objects map[string]any // by path
	asked   []string
	bodies  map[string][]byte
	fail    map[string]int // by "METHOD path"
	watches map[string][]chan any
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	a := &apiServer{t: t, objects: map[string]any{}, bodies: map[string][]byte{}, fail: map[string]int{}, watches: map[string][]chan any{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	var err error
	a.Client, err = Connect(&rest.Config{Host: server.URL}, func(verb, resource string, _ int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = append(a.asked, verb+" "+resource)
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.bodies[r.Method+" "+r.URL.Path] = body
	code := a.fail[r.Method+" "+r.URL.Path]
	object, found := a.objects[r.URL.Path]
	a.mu.Unlock()
	query := r.URL.Query()
	switch {
	case code != 0:
		status(w, code)
	case r.Method == http.MethodPost, r.Method == http.MethodPatch:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{}`)
	case query.Get("watch") != "" && query.Get("sendInitialEvents") == "true":
		status(w, http.StatusUnprocessableEntity) // an API server without streaming lists
	case query.Get("watch") != "":
		a.watch(w, r)
	case found:
		_ = json.NewEncoder(w).Encode(object)
	case slices.Contains([]string{"pods", "nodes", "network-attachment-definitions", "ippools", "namespaces"}, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]):
		a.list(w, r.URL.Path)
	default:
		status(w, http.StatusNotFound)
	}
}

func status(w http.ResponseWriter, code int) {
	w.WriteHeader(code)
	reason := map[int]string{404: "NotFound", 409: "Conflict", 422: "Invalid"}[code]
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason})
}

func (a *apiServer) list(w http.ResponseWriter, path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resource := path[strings.LastIndex(path, "/")+1:]
	items := []any{}
	for p, object := range a.objects {
		if strings.Contains(p, "/"+resource+"/") {
			items = append(items, object)
		}
	}
	first := map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": items}
	if len(items) > 0 {
		if o, ok := items[0].(map[string]any); ok {
			first["apiVersion"], first["kind"] = o["apiVersion"], o["kind"].(string)+"List"
		}
	} else {
		kinds := map[string][2]string{"pods": {"meta.k8s.io/v1", "PartialObjectMetadataList"}, "nodes": {"v1", "NodeList"},
			"network-attachment-definitions": {"k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList"}, "ippools": {"tsunagu.dev/v1alpha1", "IPPoolList"}, "namespaces": {"meta.k8s.io/v1", "PartialObjectMetadataList"}}
		first["apiVersion"], first["kind"] = kinds[resource][0], kinds[resource][1]
	}
	_ = json.NewEncoder(w).Encode(first)
}

func (a *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	c := make(chan any, 10)
	resource := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	a.mu.Lock()
	a.watches[resource] = append(a.watches[resource], c)
	a.mu.Unlock()
	w.(http.Flusher).Flush()
	for {
		select {
		case e := <-c:
			_ = json.NewEncoder(w).Encode(e)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// tell sends a change to every watch of a resource.
func (a *apiServer) tell(resource, kind string, object any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.watches[resource] {
		c <- map[string]any{"type": kind, "object": object}
	}
}

func (a *apiServer) count(request string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(a.asked), func(r string) bool { return r != request }))
}

// body is what was last sent by a request.
func (a *apiServer) body(request string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bodies[request]
}

// decodeEvent reads an event in whatever form it was sent.
func (a *apiServer) decodeEvent(raw []byte) *corev1.Event {
	a.t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		a.t.Fatal(err)
	}
	object, _, err := serializer.NewCodecFactory(scheme).UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return object.(*corev1.Event)
}

// run runs a part until the test ends.
func run(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func meta(apiVersion, kind, namespace, name, uid string, more map[string]any) map[string]any {
	m := map[string]any{"name": name, "uid": uid, "resourceVersion": "1"}
	if namespace != "" {
		m["namespace"] = namespace
	}
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": m}
	for k, v := range more {
		if k == "annotations" || k == "labels" || k == "deletionTimestamp" {
			m[k] = v
		} else {
			o[k] = v
		}
	}
	return o
}
