package controller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Before the API server was reached the controller is well and not ready.
func TestHealthBeforeTheAPIServer(t *testing.T) {
	var h Health
	if err := h.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "API server") {
		t.Errorf("ready says %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Serve(ctx, "127.0.0.1:0") }()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of the context is not an error, got %v", err)
	}
}

// An API server that is away is waited for; one that does not know our kinds is
// not.
func TestReached(t *testing.T) {
	calls := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api":
			io.WriteString(w, `{"kind":"APIVersions","versions":["v1"]}`)
		case "/apis":
			io.WriteString(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer api.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := reached(ctx, &rest.Config{Host: api.URL}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, errUndefined) || calls < 2 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}
