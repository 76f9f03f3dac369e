package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/kube"
	"github.com/tsunagu-net/tsunagu/overlay"
)

func env(values map[string]string) func(string) string {
	return func(k string) string { return values[k] }
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"--encap=none", "--namespace-isolation", "--global-namespaces=default, shared", "--run-dir=/run/x", "--pod-network-prefixes=10.244.0.0/16,fd00::/48", "--log-level=debug"},
		env(map[string]string{"NODE_NAME": "node1", "POD_NAMESPACE": "tsunagu-system"}), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.node != "node1" || o.namespace != "tsunagu-system" || o.overlay.Encap != overlay.None || !o.overlay.Masquerade || !o.namespaces.Isolation ||
		strings.Join(o.namespaces.Global, " ") != "default shared" || o.socket != "/run/x/cni.sock" || len(o.prefixes) != 2 || o.logLevel != slog.LevelDebug ||
		o.http != "127.0.0.1:9871" || filepath.Base(o.shim) != "tsunagu-cni" || !o.keepConf {
		t.Errorf("got %+v", o)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "NODE_NAME"},
		{[]string{"--node-name=a", "--encap=gre"}, "gre"},
		{[]string{"--node-name=a", "--pod-network-prefixes=x"}, "x"},
		{[]string{"--node-name=a", "b"}, `"b"`},
		{[]string{"--no-such-flag"}, "no-such-flag"},
		{[]string{"--node-name=a", "--log-level=loud"}, "loud"},
	} {
		if _, err := parse(c.args, env(nil), io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.args, err, c.says)
		}
	}
	if _, err := parse([]string{"-h"}, env(nil), io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

func TestCover(t *testing.T) {
	for want, all := range map[string][]string{
		"10.244.0.0/16": {"10.244.1.0/24", "10.244.200.0/24"},
		"10.0.0.0/8":    {"10.1.0.0/24", "10.200.0.0/24"},
		"0.0.0.0/0":     {"10.1.0.0/24", "192.168.0.0/24"},
		"10.0.0.0/12":   {"10.0.0.0/12"},
		"fd00:10::/48":  {"fd00:10:0:1::/64"},
		"fd00:10::/47":  {"fd00:10:0:1::/64", "fd00:10:1:1::/64"},
	} {
		var prefixes []netip.Prefix
		for _, p := range all {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		if got := cover(prefixes).String(); got != want {
			t.Errorf("%v: %s, want %s", all, got, want)
		}
	}
}

// What an agent reports is what the doctor reads.
func TestReportIsReadByTheDoctor(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"10-other.conf", "00-tsunagu.conflist", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ov, err := overlay.New(overlay.Config{}, "node1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := &pages{options: options{confDir: dir}, metrics: newMetrics(), overlay: ov, server: func() *attach.Server { return nil }}
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		p.open().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	_, body := get("/status")
	var r doctor.AgentReport
	d := json.NewDecoder(strings.NewReader(body))
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Version != version || strings.Join(r.Configs, " ") != "00-tsunagu.conflist 10-other.conf" || r.Overlay == nil || r.Overlay.Ready {
		t.Errorf("got %+v from %s", r, body)
	}
	if strings.Contains(body, `"agent"`) {
		t.Errorf("what is for root is told to everybody: %s", body)
	}
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "not known yet") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, "process_resident_memory_bytes") {
		t.Errorf("metrics: %d", code)
	}
}

// The second agent of a node waits for the first.
func TestAlone(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	if err := alone(t.Context(), dir, log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := alone(ctx, dir, log); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want to wait", err)
	}
}

// A node's identity is kept, so that an agent that starts while the API server is away knows who it is.
func TestIdentityIsKept(t *testing.T) {
	nowhere, err := kube.Connect(&rest.Config{Host: "http://" + closedPort(t)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	nodes, log, file := kube.NewNodes(nowhere), slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "node.json")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if id, err := identify(ctx, "node1", file, nodes, log); err == nil {
		t.Errorf("got %+v without the API server", id)
	}
	if err := write(file, identity{"node1", "u1"}); err != nil {
		t.Fatal(err)
	}
	if id, err := identify(t.Context(), "node1", file, nodes, log); err != nil || id.UID != "u1" {
		t.Errorf("got %+v, %v", id, err)
	}
	if id, err := identify(ctx, "node2", file, nodes, log); err == nil {
		t.Errorf("another node's identity is taken: %+v", id)
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
