package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// Health answers /healthz and /readyz. It is there before the API server has
// been reached: a controller that waits for it is well, and must not be
// restarted ever more slowly.
type Health struct{ cache atomic.Pointer[cache.Cache] }

// Serve answers at an address until the context ends, which is not an error;
// "0" serves nothing.
func (h *Health) Serve(ctx context.Context, address string) error {
	if address == "0" {
		<-ctx.Done()
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for health probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := h.ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health probes: %w", err)
	}
	return nil
}

func (h *Health) ready(ctx context.Context) error {
	c := h.cache.Load()
	if c == nil {
		return errors.New("the API server was not reached yet")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if !(*c).WaitForCacheSync(ctx) {
		return errors.New("caches are not filled yet")
	}
	return nil
}
