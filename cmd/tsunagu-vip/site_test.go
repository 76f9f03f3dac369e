package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// The tests run this program as processes of their own, in namespaces: the test binary is the program when it is told so.
const asProgram = "TSUNAGU_VIP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// trio is three nodes that run the program, and a watch on the address.
type trio struct {
	*viptest.Site
	t     *testing.T
	dir   string
	watch *viptest.Watch
	// overlap is for how long two nodes may answer in all; never, but where VRRP cannot help it.
	overlap time.Duration

	procs map[string]*viptest.Process
	said  map[string]*output
}

// output is what a program says, for the one who reads of a failure.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func newTrio(t *testing.T, nodes int) *trio {
	t.Helper()
	name := fmt.Sprintf("tstv%d%s", os.Getpid()%10000, strings.ToLower(t.Name()[4:min(len(t.Name()), 9)]))
	site, err := viptest.New(name, nodes)
	must(t, err)
	x := &trio{Site: site, t: t, dir: t.TempDir(), procs: map[string]*viptest.Process{}, said: map[string]*output{}}
	must(t, os.WriteFile(filepath.Join(x.dir, "sa.key"), []byte("a secret that all nodes have"), 0o600))
	t.Cleanup(func() {
		for _, p := range x.procs {
			p.Stop()
		}
		if x.watch != nil {
			x.watch.Stop()
			if d := x.watch.Both(); d > x.overlap {
				t.Errorf("two nodes answered for the address at the same time, for %s", d)
				for _, c := range x.watch.Claims() {
					t.Log(c.At, c.MAC)
				}
			}
		}
		for n, o := range x.said {
			if strings.Contains(o.String(), "DATA RACE") || strings.Contains(o.String(), "panic:") {
				t.Errorf("the program on %s broke", n)
			}
		}
		if t.Failed() {
			for n, o := range x.said {
				t.Logf("%s said:\n%s", n, o)
			}
		}
		if err := site.Close(); err != nil {
			t.Error(err)
		}
	})
	if x.watch, err = site.Watch(viptest.VIP4); err != nil {
		t.Fatal(err)
	}
	must(t, x.watch.Fair(site))
	return x
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs the program on a node.
func (x *trio) start(n *viptest.Node, flags ...string) {
	x.t.Helper()
	o := x.said[n.Name]
	if o == nil {
		o = &output{}
		x.said[n.Name] = o
	}
	argv := append([]string{os.Args[0], "--address", viptest.VIP4.String() + "," + viptest.VIP6.String(), "--key-file", filepath.Join(x.dir, "sa.key"),
		"--state-dir", filepath.Join(x.dir, n.Name, "state"), "--run-dir", filepath.Join(x.dir, n.Name, "run"), "--health", "none"}, flags...)
	p, err := n.Start(o, []string{asProgram + "=1"}, argv...)
	must(x.t, err)
	x.procs[n.Name] = p
}

// all starts three nodes that know each other.
func (x *trio) all(flags ...string) {
	x.t.Helper()
	var peers []string
	for _, n := range x.Nodes {
		peers = append(peers, n.IP.String())
	}
	for _, n := range x.Nodes {
		x.start(n, append([]string{"--peers", strings.Join(peers, ",")}, flags...)...)
	}
}

func (x *trio) status(n *viptest.Node) (control.Status, error) {
	return control.NewClient(filepath.Join(x.dir, n.Name, "run", control.SocketName)).Status(context.Background())
}

// answered is the node that answers the client after a mark.
func (x *trio) answered(after time.Duration, not *viptest.Node, patience time.Duration) *viptest.Node {
	x.t.Helper()
	name := ""
	if not != nil {
		name = not.Name
	}
	by, ok := x.watch.Answered(after, name, patience)
	if !ok {
		x.t.Fatalf("nobody (but %q) answers the client within %s", name, patience)
	}
	for _, n := range x.Nodes {
		if n.Name == by {
			return n
		}
	}
	x.t.Fatalf("%s answers, which is no node", by)
	return nil
}

// settle waits until the owner hears all members, and they it, so that an event meets a calm cluster.
func (x *trio) settle() {
	x.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		good := 0
		for _, n := range x.Nodes {
			s, err := x.status(n)
			ready := 0
			for _, m := range s.Members {
				if m.Ready {
					ready++
				}
			}
			if err == nil && s.Owner != "" && (ready == len(x.Nodes) || !s.Owns) && len(s.Members) == len(x.Nodes) && !s.Changing {
				good++
			}
		}
		if good == len(x.Nodes) {
			return
		}
		if time.Now().After(end) {
			x.t.Fatal("the nodes do not find each other")
		}
	}
}

func (x *trio) signal(n *viptest.Node, s syscall.Signal) {
	x.t.Helper()
	must(x.t, x.procs[n.Name].Signal(s))
}
