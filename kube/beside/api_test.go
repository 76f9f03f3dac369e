package beside

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// api is an API server for any objects: it creates what is not there, and writes what is at the version that was read.
type api struct {
	mu      sync.Mutex
	n       int
	objects map[string]map[string]any
	away    bool
}

func newAPI(t *testing.T) (*api, rest.Interface) {
	a := &api{objects: map[string]map[string]any{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg := &rest.Config{Host: server.URL, QPS: 10000, Burst: 10000, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON,
		NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion()}}
	c, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	refuse := func(code int, reason string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	meta := func(o map[string]any) map[string]any { m, _ := o["metadata"].(map[string]any); return m }
	store := func(at string) {
		a.n++
		meta(body)["resourceVersion"], meta(body)["uid"] = fmt.Sprint(a.n), at
		a.objects[at] = body
		_ = json.NewEncoder(w).Encode(body)
	}
	old, found := a.objects[r.URL.Path]
	switch {
	case a.away:
		refuse(http.StatusServiceUnavailable, "ServiceUnavailable")
	case r.Method == http.MethodPost:
		at := r.URL.Path + "/" + meta(body)["name"].(string)
		if a.objects[at] != nil {
			refuse(http.StatusConflict, "AlreadyExists")
			return
		}
		store(at)
	case r.Method == http.MethodGet && (strings.HasSuffix(r.URL.Path, "/ippools") || strings.HasSuffix(r.URL.Path, "/"+reservations)):
		items := []any{}
		for at, o := range a.objects {
			if strings.HasPrefix(at, r.URL.Path+"/") {
				items = append(items, o)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
	case !found:
		refuse(http.StatusNotFound, "NotFound")
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(old)
	case r.Method == http.MethodPut && meta(body)["resourceVersion"] == meta(old)["resourceVersion"]:
		store(r.URL.Path)
	case r.Method == http.MethodDelete && body["preconditions"].(map[string]any)["resourceVersion"] == meta(old)["resourceVersion"]:
		delete(a.objects, r.URL.Path)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	default:
		refuse(http.StatusConflict, "Conflict")
	}
}

// left counts allocations and reservations.
func (a *api) left() (allocations, reserved int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, o := range a.objects {
		if strings.Contains(at, "/"+reservations+"/") {
			reserved++
		} else if spec, ok := o["spec"].(map[string]any); ok {
			all, _ := spec["allocations"].(map[string]any)
			allocations += len(all)
		}
	}
	return allocations, reserved
}
