package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// report is what the agent says of its node. The part above Agent is what doctor.AgentReport reads.
type report struct {
	Version  string         `json:"version"`
	Configs  []string       `json:"cniConfigs"`
	RPFilter map[string]int `json:"rpFilter,omitempty"`
	// ServiceProxy is who carries out Services; absent when that cannot be told.
	ServiceProxy *string       `json:"serviceProxy,omitempty"`
	Overlay      overlayReport `json:"overlay"`
	Agent        *agentReport  `json:"agent,omitempty"`
}

type overlayReport struct {
	Ready   bool           `json:"ready"`
	Encap   overlay.Encap  `json:"encap"`
	MTU     int            `json:"mtu"`
	Message string         `json:"message,omitempty"`
	Status  overlay.Status `json:"status"`
}

// agentReport is for root on the node only: it names Pods.
type agentReport struct {
	Node identity `json:"node"`
	attach.View
}

// pages are the agent's answers by HTTP.
type pages struct {
	options options
	metrics *metrics
	overlay *overlay.Overlay
	// server is nil until the agent knows who it is.
	server func() *attach.Server
	node   func() identity
}

// open are the pages for everybody who reaches the node: nothing on them names a Pod or is a secret.
func (p *pages) open() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if lacks := p.lacks(); len(lacks) > 0 {
			http.Error(w, "not ready: "+strings.Join(lacks, "; "), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.report()) })
	return mux
}

// closed are the pages for root: /status tells of Pods too.
func (p *pages) closed() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		r := p.report()
		if s := p.server(); s != nil {
			r.Agent = &agentReport{Node: p.node(), View: s.View()}
		}
		answer(w, r)
	})
	mux.Handle("/", p.open())
	return mux
}

func (p *pages) lacks() []string {
	if s := p.server(); s != nil {
		return s.Lacks()
	}
	return []string{"this node's Node object is not known yet"}
}

func (p *pages) report() report {
	status := p.overlay.Status()
	r := report{
		Version: version, Configs: configs(p.options.confDir), RPFilter: rpFilter(), ServiceProxy: serviceProxy(),
		Overlay: overlayReport{Ready: closedNow(p.overlay.Ready()), Encap: status.Encap, MTU: status.PodMTU, Status: status},
	}
	r.Overlay.Message = strings.Join(append(slices.Clone(status.Problems), status.Err), "; ")
	r.Overlay.Message = strings.Trim(r.Overlay.Message, "; ")
	return r
}

// configs are the CNI configurations as the container runtime sorts them.
func configs(dir string) []string {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names
}

// rpFilter reads the kernel's reverse path filters, by interface.
func rpFilter() map[string]int {
	const dir = "/proc/sys/net/ipv4/conf"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	all := map[string]int{}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name(), "rp_filter"))
		var v int
		if _, scanErr := fmt.Sscan(string(raw), &v); err == nil && scanErr == nil && v != 0 {
			all[e.Name()] = v
		}
	}
	return all
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // who asked is gone; he does not miss it
}

func closedNow(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// serve answers by HTTP until the context ends, which is not an error.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer HTTP at %s: %w", l.Addr(), err)
	}
	return nil
}
