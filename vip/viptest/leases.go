package viptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Leases are what the API servers of a site have in common where nodes agree by one: they are ready, keep Leases, each write against the version
// that it names, and hear Events.
type Leases struct {
	mu      sync.Mutex
	all     map[string]map[string]any
	version int
	events  []string
}

// NewLeases has none.
func NewLeases() *Leases { return &Leases{all: map[string]map[string]any{}} }

// ServeHTTP is an API server as far as that goes; whatever else is asked is answered with ok.
func (l *Leases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // apis coordination.k8s.io v1 namespaces NS leases [NAME]
	switch {
	case slices.Contains(parts, "leases"):
		code, body := l.lease(r, parts)
		answer(w, code, body)
	case parts[len(parts)-1] == "events" && r.Method == http.MethodPost:
		var e map[string]any
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			answer(w, http.StatusBadRequest, refusal(http.StatusBadRequest, "BadRequest"))
			return
		}
		l.mu.Lock()
		l.events = append(l.events, fmt.Sprintf("%v: %v", e["reason"], e["message"]))
		l.mu.Unlock()
		answer(w, http.StatusCreated, e)
	default:
		fmt.Fprint(w, "ok")
	}
}

// lease is one read or write.
func (l *Leases) lease(r *http.Request, parts []string) (int, map[string]any) {
	var sent map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			return http.StatusBadRequest, refusal(http.StatusBadRequest, "BadRequest")
		}
	}
	meta, _ := sent["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	if last := parts[len(parts)-1]; last != "leases" {
		name = last
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.all[name]
	switch {
	case r.Method != http.MethodPost && have == nil:
		return http.StatusNotFound, refusal(http.StatusNotFound, "NotFound")
	case r.Method == http.MethodPost && have != nil:
		return http.StatusConflict, refusal(http.StatusConflict, "AlreadyExists")
	case r.Method == http.MethodPut && meta["resourceVersion"] != have["metadata"].(map[string]any)["resourceVersion"]:
		return http.StatusConflict, refusal(http.StatusConflict, "Conflict")
	case r.Method == http.MethodGet:
		return http.StatusOK, have
	}
	l.version++
	meta["resourceVersion"] = strconv.Itoa(l.version)
	sent["kind"], sent["apiVersion"] = "Lease", "coordination.k8s.io/v1"
	l.all[name] = sent
	return http.StatusOK, sent
}

func refusal(code int, reason string) map[string]any {
	return map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
}

func answer(w http.ResponseWriter, code int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// Holder is who has a Lease, "" for nobody.
func (l *Leases) Holder(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	spec, _ := l.all[name]["spec"].(map[string]any)
	holder, _ := spec["holderIdentity"].(string)
	return holder
}

// Remove is kubectl delete.
func (l *Leases) Remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, name)
}

// Heard are the Events, REASON: MESSAGE.
func (l *Leases) Heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Kubeconfig leads to the API server of whichever node it is read on.
func Kubeconfig() []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],`+
		`"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:%d","insecure-skip-tls-verify":true}}],"users":[{"name":"u","user":{"token":"t"}}]}`, AnswerPort)
}
