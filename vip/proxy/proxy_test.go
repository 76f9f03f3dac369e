package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// api is an API server that says its number to whom asks, and whether it is ready.
type api struct {
	*httptest.Server
	at    netip.AddrPort
	ready atomic.Bool
}

func newAPI(t *testing.T, name string) *api {
	a := &api{}
	a.ready.Store(true)
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && !a.ready.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, name)
	}))
	a.at = netip.MustParseAddrPort(a.Listener.Addr().String())
	t.Cleanup(a.Close)
	return a
}

func start(t *testing.T, local *api, all ...*api) (p *Proxy, ask func() (string, error)) {
	t.Helper()
	p, err := New(NewChecker(Patience), filepath.Join(t.TempDir(), "state", "servers.json"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var servers []netip.AddrPort
	for _, a := range all {
		servers = append(servers, a.at)
	}
	if err := p.SetServers(local.at, servers); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go p.Watch(ctx)
	go func() { _ = p.Serve(ctx, l) }()
	client := local.Client()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	return p, func() (string, error) {
		r, err := client.Get("https://" + l.Addr().String())
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
}

// until repeats something for a while: the machine may be busy.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func TestTheNodesOwnServerFirst(t *testing.T) {
	own, other := newAPI(t, "own"), newAPI(t, "other")
	p, ask := start(t, own, other, own)
	until(t, "both work", func() bool { return p.Servers()[0].Works && p.Servers()[1].Works })
	for range 5 {
		if by, err := ask(); by != "own" || err != nil {
			t.Fatalf("%q answers (%v), want the node's own", by, err)
		}
	}
	own.ready.Store(false)
	until(t, "the other one is preferred", func() bool { by, _ := ask(); return by == "other" })
	own.ready.Store(true)
	until(t, "the own one is back", func() bool { by, _ := ask(); return by == "own" })
	// It is gone: the very next connection gets to the other one.
	own.Listener.Close()
	own.CloseClientConnections()
	if by, err := ask(); by != "other" || err != nil {
		t.Errorf("%q answers (%v), want the other one at once", by, err)
	}
	// None is ready: what there is, is better than nothing.
	other.ready.Store(false)
	until(t, "the checks see it", func() bool { return !p.Servers()[0].Works })
	if by, err := ask(); by != "other" || err != nil {
		t.Errorf("%q answers (%v), want the one that answers at all", by, err)
	}
}

// A connection to a server that does not work any more ends, so that its program comes again.
func TestConnectionsOfALostServerEnd(t *testing.T) {
	own := newAPI(t, "own")
	p, _ := start(t, own, own)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = p.Serve(ctx, l) }()
	until(t, "it works", func() bool { return p.Servers()[0].Works })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	until(t, "it is led", func() bool { return p.Servers()[0].Connections == 1 })
	own.ready.Store(false)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := bufio.NewReader(c).ReadByte(); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection goes on: %v", err)
	}
}

func TestServersAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "servers.json")
	want := netip.MustParseAddrPort("[fd00::1]:6443")
	if err := writeServers(path, []netip.AddrPort{want}); err != nil {
		t.Fatal(err)
	}
	p, err := New(NewChecker(Patience), path, slog.New(slog.DiscardHandler))
	if err != nil || len(p.Known()) != 1 || p.Known()[0] != want {
		t.Errorf("%v, %v; want %s", p.Known(), err, want)
	}
}
