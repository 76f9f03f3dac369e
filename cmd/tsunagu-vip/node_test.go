package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// standin is an API server that may answer nothing, or only that it is not ready.
type standin struct {
	*httptest.Server
	hangs, fails atomic.Bool
}

// api starts an API server on a node, which says its node's name and is ready.
func api(t *testing.T, n *viptest.Node) *standin {
	t.Helper()
	s := &standin{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.hangs.Load():
			<-r.Context().Done()
		case s.fails.Load():
			http.Error(w, "not ready", http.StatusInternalServerError)
		default:
			fmt.Fprint(w, n.Name)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	must(t, n.NS.Do(func() error {
		l, err := net.Listen("tcp", ":6443")
		if err == nil {
			s.Listener.Close()
			s.Listener = l
		}
		return err
	}))
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// who asks the API at an address, from a node.
func who(t *testing.T, n *viptest.Node, at string) string {
	t.Helper()
	var raw net.Conn
	err := n.NS.Do(func() (err error) {
		raw, err = net.DialTimeout("tcp", at, time.Second)
		return err
	})
	if err != nil {
		return err.Error()
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(2 * time.Second))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err.Error()
	}
	b, err := io.ReadAll(c)
	if err != nil || len(b) < 2 {
		return fmt.Sprint(err)
	}
	return string(b[len(b)-2:])
}

// Connections to the address are led to an API server that works, and so are those to every node's own address.
func TestAPIServerIsLost(t *testing.T) {
	x := newTrio(t, 4)
	worker := x.Nodes[3]
	x.Nodes = x.Nodes[:3]
	servers := map[*viptest.Node]*standin{}
	for _, n := range x.Nodes {
		servers[n] = api(t, n)
	}
	x.all("--health", "https://127.0.0.1:6443/readyz")
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	if by := who(t, owner, "127.0.0.1:7443"); by != owner.Name {
		t.Errorf("on %s the proxy leads to %s", owner.Name, by)
	}
	// A worker knows the address only, and finds out the rest.
	x.start(worker, "--address", "", "--servers", viptest.VIP4.String())
	until(t, "the worker knows all API servers", func() bool { s, err := x.status(worker); return err == nil && len(s.Servers) == 4 })
	until(t, "the worker is led", func() bool { return len(who(t, worker, "127.0.0.1:7443")) == 2 })

	mark := x.watch.Mark()
	at := []string{net.JoinHostPort(viptest.VIP4.String(), "6443"), net.JoinHostPort(viptest.VIP6.String(), "6443")}
	// lost is for how long the addresses lead to no other server than the owner's.
	lost := func(what string, bar time.Duration) {
		t.Helper()
		began := time.Now()
		for _, to := range at {
			until(t, what+": "+to+" leads elsewhere", func() bool { by := who(t, worker, to); return by != owner.Name && len(by) == 2 })
		}
		took := time.Since(began)
		t.Logf("%s: the addresses lead elsewhere after %s", what, took)
		if took > bar {
			t.Errorf("%s: the addresses lead elsewhere after %s, want at most %s", what, took, bar)
		}
	}
	back := func() {
		t.Helper()
		for _, to := range at {
			until(t, to+" leads to the owner's own again", func() bool { return who(t, worker, to) == owner.Name })
		}
	}
	back()
	servers[owner].hangs.Store(true)
	lost("the owner's API server hangs", 4*time.Second) // who waits for two seconds
	servers[owner].hangs.Store(false)
	back()
	servers[owner].fails.Store(true)
	lost("the owner's API server is not ready", barCut)
	servers[owner].fails.Store(false)
	back()
	servers[owner].Config.Close() // and all its connections, as the kernel does for a process that was killed
	lost("the owner's API server is killed", barHand)
	if by := who(t, owner, "127.0.0.1:7443"); by == owner.Name || len(by) != 2 {
		t.Errorf("after its API server was lost, the proxy of %s leads to %q", owner.Name, by)
	}
	x.gap("the owner's API server is lost", mark, barHand)
	if now := x.answered(x.watch.Mark(), nil, time.Second); now != owner {
		t.Errorf("the address has moved to %s, though it served on %s", now.Name, owner.Name)
	}
	// A new owner's own works: it is asked.
	mark = x.watch.Mark()
	x.signal(owner, syscall.SIGTERM)
	next := x.answered(mark, owner, 5*time.Second)
	for _, to := range at {
		until(t, to+" leads to the new owner", func() bool { return who(t, worker, to) == next.Name })
	}
	// The worker lives on what it knows when the address is gone.
	for _, n := range x.Nodes {
		x.procs[n.Name].Stop()
	}
	x.procs[worker.Name].Stop()
	x.start(worker, "--address", "", "--servers", viptest.VIP4.String())
	until(t, "a restarted worker is led without the address", func() bool { return len(who(t, worker, "127.0.0.1:7443")) == 2 })
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// What is asked before the address is used.
func TestLookAtANode(t *testing.T) {
	x := newTrio(t, 2)
	api(t, x.Nodes[0])
	must(t, viptest.Inside(x.Nodes[1].NS, "ip addr add "+viptest.VIP6.String()+"/128 dev eth0 nodad"))
	f := x.checks(x.Nodes[0], "--address", viptest.VIP4.String()+","+viptest.VIP6.String())
	if f.Interface != "eth0" || f.Taken[viptest.VIP6] != x.Nodes[1].MAC.String() || f.Taken[viptest.VIP4] != "" || f.NoFence != "" || !slices.Contains(f.Missing, viptest.VIP4) {
		t.Errorf("%+v", f)
	}
}
