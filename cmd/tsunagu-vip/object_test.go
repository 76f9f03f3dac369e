package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// objects gives all nodes an API server, all with the same Leases, and a kubeconfig.
func (x *trio) objects() (*viptest.Leases, map[*viptest.Node]*standin, string) {
	x.t.Helper()
	l, servers := viptest.NewLeases(), map[*viptest.Node]*standin{}
	for _, n := range x.Nodes {
		servers[n] = api(x.t, n)
		was := servers[n].Config.Handler
		servers[n].Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if servers[n].hangs.Load() || servers[n].fails.Load() {
				was.ServeHTTP(w, r)
				return
			}
			l.ServeHTTP(w, r)
		})
	}
	path := filepath.Join(x.dir, "kubeconfig")
	must(x.t, os.WriteFile(path, viptest.Kubeconfig(), 0o600))
	return l, servers, path
}

// asKubeVIP takes part in the Lease as kube-vip does: with client-go's leader election.
func asKubeVIP(t *testing.T, n *viptest.Node) (stop func(), leads func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := client.NewForConfig(&rest.Config{Host: "https://127.0.0.1:6443", TLSClientConfig: rest.TLSClientConfig{Insecure: true}, ContentConfig: rest.ContentConfig{ContentType: "application/json"}, Dial: func(ctx context.Context, network, at string) (c net.Conn, err error) {
		err = n.NS.Do(func() error {
			c, err = (&net.Dialer{}).DialContext(ctx, network, at)
			return err
		})
		return c, err
	}})
	must(t, err)
	lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "plndr-cp-lock"}, Client: c, LockConfig: resourcelock.ResourceLockConfig{Identity: "kube-vip"}}
	e, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{Lock: lock, LeaseDuration: 5 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: time.Second,
		ReleaseOnCancel: true, Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) {}, OnStoppedLeading: func() {}}})
	must(t, err)
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	return func() { cancel(); <-done }, e.IsLeader
}

// Nodes that keep the address by kube-vip's Lease, and one that is kube-vip's.
func TestLeaseObject(t *testing.T) {
	x := newTrio(t, 3)
	l, servers, kubeconfig := x.objects()
	stop, leads := asKubeVIP(t, x.Nodes[2])
	until(t, "kube-vip has the Lease", leads)
	run := func(n *viptest.Node) {
		t.Helper()
		o := x.said[n.Name]
		if o == nil {
			o = &output{}
			x.said[n.Name] = o
		}
		p, err := n.Start(o, []string{asProgram + "=1"}, os.Args[0], "--mode", "kube-lease", "--address", viptest.VIP4.String()+","+viptest.VIP6.String(),
			"--state-dir", filepath.Join(x.dir, n.Name, "state"), "--run-dir", filepath.Join(x.dir, n.Name, "run"), "--servers", "10.77.0.11,10.77.0.12,10.77.0.13",
			"--kube-lease-kubeconfig", kubeconfig, "--node-name", n.Name, "--kube-lease-duration", "3s", "--kube-lease-retry", "500ms")
		must(t, err)
		x.procs[n.Name] = p
	}
	run(x.Nodes[0])
	run(x.Nodes[1])
	until(t, "the nodes see kube-vip", func() bool {
		s, err := x.status(x.Nodes[0])
		return err == nil && s.Mode == "kube-lease" && s.Owner == "kube-vip" && !s.Owns
	})
	mark := x.watch.Mark()
	stop()
	owner := x.answered(mark, nil, 5*time.Second)
	t.Logf("kube-vip has let go: %s answers", owner.Name)
	if l.Holder("plndr-cp-lock") != owner.Name {
		t.Errorf("%s answers, and %q has the Lease", owner.Name, l.Holder("plndr-cp-lock"))
	}
	other := x.Nodes[0]
	if owner == other {
		other = x.Nodes[1]
	}
	for _, event := range []struct {
		what string
		do   func()
		most time.Duration
	}{
		{"ends in peace", func() { x.signal(owner, syscall.SIGTERM) }, 2 * time.Second},
		{"is killed", func() { x.signal(owner, syscall.SIGKILL) }, 6 * time.Second},
	} {
		mark := x.watch.Mark()
		event.do()
		began := time.Now()
		if now := x.answered(mark, owner, event.most); now != other {
			t.Errorf("%s: %s answers", event.what, now.Name)
		}
		t.Logf("the owner %s: %s answers %s later", event.what, other.Name, time.Since(began))
		run(owner)
		owner, other = other, owner
		until(t, "the new owner is seen", func() bool { s, err := x.status(other); return err == nil && s.Owner == owner.Name })
	}
	// Stopped, it is silent before another one answers (the trio's watch sees to that), and does not begin again when it goes on.
	mark = x.watch.Mark()
	x.signal(owner, syscall.SIGSTOP)
	x.answered(mark, owner, 6*time.Second)
	x.signal(owner, syscall.SIGCONT)
	owner, other = other, owner
	until(t, "the one that stood still knows", func() bool { s, err := x.status(other); return err == nil && s.Owner == owner.Name && !s.Owns })
	// The object is removed by somebody: its owner writes it again.
	l.Remove("plndr-cp-lock")
	until(t, "the Lease is there again", func() bool { return l.Holder("plndr-cp-lock") == owner.Name })
	// An API server that works is found through the proxy, so the owner stays, and its connections are led.
	servers[owner].fails.Store(true)
	time.Sleep(4 * time.Second)
	if s, err := x.status(owner); err != nil || !s.Owns {
		t.Errorf("the owner's API server is not ready, and another one works: %+v, %v", s, err)
	}
	servers[owner].fails.Store(false)
	// Back to kube-vip.
	stop, leads = asKubeVIP(t, x.Nodes[2])
	defer stop()
	x.procs[other.Name].Stop()
	x.procs[owner.Name].Stop()
	until(t, "kube-vip has the Lease again", leads)
}

// Who has the address is told in the cluster, and nothing depends on that.
func TestPublish(t *testing.T) {
	x := newTrio(t, 3)
	l, servers, kubeconfig := x.objects()
	run := func(n *viptest.Node) {
		x.start(n, "--peers", "10.77.0.11,10.77.0.12,10.77.0.13", "--publish", "kube-system/tsunagu-vip", "--publish-kubeconfig", kubeconfig, "--node-name", n.Name)
	}
	for _, n := range x.Nodes {
		run(n)
	}
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	until(t, "the Lease names the owner", func() bool { return l.Holder("tsunagu-vip") == owner.Name })
	mark := x.watch.Mark()
	x.signal(owner, syscall.SIGKILL)
	next := x.answered(mark, owner, 5*time.Second)
	until(t, "the Lease names the next owner", func() bool { return l.Holder("tsunagu-vip") == next.Name })
	want := "ControlPlaneAddressMoved: 10.77.0.100, fd77::100 is on " + next.Name + ", before on " + owner.Name
	until(t, "an Event says so", func() bool { return slices.Contains(l.Heard(), want) })
	run(owner)
	// No API server works: the address moves all the same.
	for _, s := range servers {
		s.hangs.Store(true)
	}
	mark = x.watch.Mark()
	x.signal(next, syscall.SIGTERM)
	now := x.answered(mark, next, 2*time.Second)
	for _, s := range servers {
		s.hangs.Store(false)
	}
	until(t, "the Lease names the one after", func() bool { return l.Holder("tsunagu-vip") == now.Name })
}

// What cannot work is said at once.
func TestLeaseObjectRefuses(t *testing.T) {
	x := newTrio(t, 1)
	for want, args := range map[string][]string{
		"is not namespace/name":                     {"--kube-lease-name", "a/b/c"},
		"a Lease has whole seconds":                 {"--kube-lease-duration", "1500ms"},
		"is too seldom":                             {"--kube-lease-retry", "4s"},
		"no file is named":                          {"--kube-lease-kubeconfig", ""},
		"--publish: it means nothing with --mode=k": {"--publish", "kube-system/x"},
		"--timing: it means nothing with --mode=ku": {"--timing", "fast"},
	} {
		x.refuses(x.Nodes[0], want, append([]string{"--mode", "kube-lease", "--address", viptest.VIP4.String()}, args...)...)
	}
}
