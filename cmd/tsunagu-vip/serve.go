package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip/control"
)

// serve answers people, Prometheus and workers.
func (n *node) serve(ctx context.Context, parts *sync.WaitGroup) error {
	read := http.NewServeMux()
	read.HandleFunc("GET /status", n.tellStatus)
	read.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	read.HandleFunc("GET /readyz", n.tellReady)
	read.Handle("GET /metrics", promhttp.HandlerFor(n.registry(), promhttp.HandlerOpts{}))

	write := http.NewServeMux()
	write.Handle("GET /", read)
	write.HandleFunc("POST /handover", n.handover)
	write.HandleFunc("POST /remove", n.remove)
	socket := filepath.Join(n.runDir, control.SocketName)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of a former run: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err != nil {
		return fmt.Errorf("listen for the command line: %w", err)
	}
	n.answer(ctx, parts, l, write)

	if n.http != "" {
		l, err := net.Listen("tcp", n.http)
		if err != nil {
			return fmt.Errorf("listen for metrics: %w", err)
		}
		n.answer(ctx, parts, l, read)
	}
	if n.agent == nil {
		return nil
	}
	workers := http.NewServeMux()
	workers.HandleFunc("GET /servers", n.tellServers)
	for _, a := range append([]netip.Addr{n.place.Own}, n.addresses...) {
		l, err := wire.ListenTCPHere(netip.AddrPortFrom(a, n.port))
		if err != nil {
			return fmt.Errorf("listen for workers: %w", err)
		}
		n.answer(ctx, parts, l, workers)
	}
	return nil
}

func (n *node) answer(ctx context.Context, parts *sync.WaitGroup, l net.Listener, by http.Handler) {
	s := &http.Server{Handler: by, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	parts.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("answer questions", "at", l.Addr().String(), "err", err)
		}
	})
	context.AfterFunc(ctx, func() { s.Close() })
}

func (n *node) status(ctx context.Context) (control.Status, error) {
	v := control.Status{Members: []control.Node{}}
	if n.agent != nil {
		var err error
		if v, err = n.agent.Look(ctx); err != nil {
			return v, err
		}
	}
	for _, a := range n.addresses {
		v.Addresses = append(v.Addresses, a.String())
	}
	v.Interface, v.Version = n.place.Interface, version
	if n.proxy != nil {
		v.Servers = n.proxy.Servers()
	}
	return v, nil
}

func (n *node) tellStatus(w http.ResponseWriter, r *http.Request) {
	v, err := n.status(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// tellReady: ready is who knows an owner, or leads to an API server that works.
func (n *node) tellReady(w http.ResponseWriter, r *http.Request) {
	v, err := n.status(r.Context())
	works := v.Owner != ""
	for _, s := range v.Servers {
		works = works || n.agent == nil && s.Works
	}
	if err != nil || !works {
		http.Error(w, "nobody has the address", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (n *node) handover(w http.ResponseWriter, r *http.Request) {
	to, err := optional(r.FormValue("to"))
	if err == nil && n.agent == nil {
		err = errors.New("hand over: this node is a worker")
	}
	if err == nil {
		err = n.agent.Handover(r.Context(), to)
	}
	said(w, err)
}

func (n *node) remove(w http.ResponseWriter, r *http.Request) {
	who, err := netip.ParseAddr(r.FormValue("node"))
	if err == nil && n.agent == nil {
		err = errors.New("remove: this node is a worker")
	}
	if err == nil {
		err = n.agent.Remove(r.Context(), who)
	}
	said(w, err)
}

func optional(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}

func said(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	fmt.Fprintln(w, "ok")
}
