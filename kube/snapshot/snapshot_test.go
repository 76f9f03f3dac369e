package snapshot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

func snapshotOf(t *testing.T, serve http.HandlerFunc, resources ...string) (*Snapshot, error) {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	r, err := NewReader(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return r.Snapshot(t.Context(), nil, resources...)
}

func refuse(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no"}`, reason, code)
}

// pods answers one page of a list of Pods.
func pods(w http.ResponseWriter, next string, names ...string) {
	w.Header().Set("Content-Type", "application/json")
	items := make([]string, len(names))
	for i, n := range names {
		items[i] = fmt.Sprintf(`{"metadata":{"name":%q}}`, n)
	}
	fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"continue":%q},"items":[%s]}`, next, strings.Join(items, ","))
}

func names(s *Snapshot) string {
	var all []string
	for _, p := range s.Pods {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

func TestSnapshotReadsEveryPage(t *testing.T) {
	s, err := snapshotOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("continue") {
		case "":
			pods(w, "2", "a", "b")
		case "2":
			pods(w, "", "c")
		}
	}, "pods")
	if err != nil || names(s) != "a b c" {
		t.Errorf("have %q, %v", names(s), err)
	}
}

// A list that was compacted in the middle is read again from its start.
func TestSnapshotStartsAgainWhenCompacted(t *testing.T) {
	var expired atomic.Bool
	s, err := snapshotOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("continue") == "" && !expired.Load():
			pods(w, "2", "old")
		case r.URL.Query().Get("continue") == "2":
			expired.Store(true)
			refuse(w, http.StatusGone, "Expired")
		default:
			pods(w, "", "new")
		}
	}, "pods")
	if err != nil || names(s) != "new" {
		t.Errorf("have %q, %v", names(s), err)
	}
}

func TestSnapshotNotesWhatItMayNotRead(t *testing.T) {
	s, err := snapshotOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/networks"):
			refuse(w, http.StatusNotFound, "NotFound")
		case strings.HasSuffix(r.URL.Path, "/events"):
			refuse(w, http.StatusForbidden, "Forbidden")
		default:
			pods(w, "", "a")
		}
	}, "pods", "events", "networks")
	if err != nil || names(s) != "a" || s.Unread["events"] != "not permitted" || !strings.Contains(s.Unread["networks"], "does not know") || len(s.Unread) != 2 {
		t.Errorf("have %q, unread %v, %v", names(s), s.Unread, err)
	}
}

func TestSnapshotOfAnUnreachableCluster(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"not known here": func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusUnauthorized, "Unauthorized") },
		"hangs up": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snapshotOf(t, serve)
			var unreachable Unreachable
			if !errors.As(err, &unreachable) || unreachable.Host == "" {
				t.Errorf("want it unreachable, have %v", err)
			}
		})
	}
}

func TestSnapshotEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(server.Close)
	r, err := NewReader(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Snapshot(ctx, nil, "pods"); !errors.Is(err, context.Canceled) {
		t.Errorf("want it canceled, have %v", err)
	}
}

func TestAskPod(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	t.Cleanup(server.Close)
	r, err := NewReader(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	said, err := r.AskPod(t.Context(), "tsunagu-system", "agent-1", 9871, "/status")
	if err != nil || string(said) != "/api/v1/namespaces/tsunagu-system/pods/agent-1:9871/proxy/status" {
		t.Errorf("have %q, %v", said, err)
	}
}
