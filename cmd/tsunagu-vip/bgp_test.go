package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/precheck"
	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// The router's and the nodes' autonomous systems.
const routerAS, nodesAS = 65001, 65000

// routed starts FRR as the nodes' router, which knows them all by both families.
func (x *trio) routed(each func(*viptest.FRRPeer)) *viptest.FRR {
	x.t.Helper()
	f := &viptest.FRR{AS: routerAS}
	for i, n := range x.Nodes {
		for _, a := range []string{n.IP.String(), fmt.Sprintf("fd77::%d", 11+i)} {
			p := viptest.FRRPeer{Address: a, AS: nodesAS}
			if each != nil {
				each(&p)
			}
			f.Peers = append(f.Peers, p)
		}
	}
	dir, err := os.MkdirTemp("", "tst-frr")
	must(x.t, err)
	o := &output{}
	x.said["router"] = o
	x.t.Cleanup(func() {
		f.Stop()
		os.RemoveAll(dir)
	})
	must(x.t, f.Start(x.Site, o, dir))
	return f
}

// speaks runs the program on a node, which tells the router.
func (x *trio) speaks(n *viptest.Node, flags ...string) {
	x.t.Helper()
	o := x.said[n.Name]
	if o == nil {
		o = &output{}
		x.said[n.Name] = o
	}
	argv := append([]string{os.Args[0], "--mode", "bgp", "--address", anywhere4 + "," + anywhere6, "--bgp-peers", fmt.Sprintf("10.77.0.9=%d,fd77::9=%d", routerAS, routerAS),
		"--state-dir", filepath.Join(x.dir, n.Name, "state"), "--run-dir", filepath.Join(x.dir, n.Name, "run")}, flags...)
	p, err := n.Start(o, []string{asProgram + "=1"}, argv...)
	must(x.t, err)
	x.procs[n.Name] = p
}

// checks looks at a node.
func (x *trio) checks(n *viptest.Node, flags ...string) (f precheck.Facts) {
	x.t.Helper()
	must(x.t, n.NS.Do(func() error {
		c := exec.Command(os.Args[0], append([]string{"--check", "--run-dir", filepath.Join(x.dir, "run")}, flags...)...)
		c.Env = append(os.Environ(), asProgram+"=1")
		out, err := c.Output()
		if err != nil {
			return err
		}
		return json.Unmarshal(out, &f)
	}))
	return f
}

// leads waits until the router leads to so many nodes at both addresses, and tells after how long.
func (x *trio) leads(to int, most time.Duration) time.Duration {
	x.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		text, err := viptest.Learned(x.Client)
		must(x.t, err)
		if hops(text, anywhere4) == to && hops(text, anywhere6) == to {
			return time.Since(began)
		}
		if time.Since(began) > most {
			x.t.Fatalf("after %s the router leads not to %d nodes:\n%s", most, to, text)
		}
	}
}

// hops counts the next hops of an address in ip's output: one on the route's own line, several on lines of their own.
func hops(routes, address string) (n int) {
	at := false
	for line := range strings.Lines(routes) {
		if !strings.HasPrefix(line, "\t") {
			at = strings.HasPrefix(line, address+" ")
		}
		if at && strings.Contains(line, "via ") {
			n++
		}
	}
	return n
}

// FRR is told the addresses by every node whose API server works, and leads to no other.
func TestBGP(t *testing.T) {
	x := newTrio(t, 3)
	servers := map[*viptest.Node]*viptest.APIServer{}
	for _, n := range x.Nodes {
		p, err := n.Serve()
		must(t, err)
		servers[n] = p
		x.speaks(n)
	}
	x.routed(nil)
	t.Logf("three nodes are led to %s after the router started", x.leads(3, 15*time.Second))
	s, err := x.status(x.Nodes[0])
	if err != nil || s.Mode != "bgp" || !s.Owns || len(s.Peers) != 2 || s.Peers[0].State != "established" || s.Peers[1].State != "established" {
		t.Errorf("status %+v, %v", s, err)
	}
	f := x.checks(x.Nodes[0], "--mode", "bgp", "--address", anywhere4, "--bgp-peers", fmt.Sprintf("10.77.0.9=%d,10.77.0.12=%d", routerAS, routerAS))
	if !f.Routed || f.OnSegment != "" || f.Peers["10.77.0.9:179"] != "" || !strings.Contains(f.Peers["10.77.0.12:179"], "refused") {
		t.Errorf("what is found on the node: %+v", f)
	}
	if f := x.checks(x.Nodes[0], "--mode", "table", "--address", viptest.VIP4.String()); !strings.Contains(f.OnSegment, "in the subnet") {
		t.Errorf("what is found on the node: %+v", f)
	}
	for _, a := range []string{anywhere4, anywhere6} {
		must(t, x.Client.Do(func() error {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(a, "6443"), 2*time.Second)
			if err == nil {
				c.Close()
			}
			return err
		}))
	}
	servers[x.Nodes[0]].Kill()
	t.Logf("an API server is killed: told %s later", x.leads(2, 3*time.Second))
	_, err = x.Nodes[0].Serve()
	must(t, err)
	t.Logf("it is back: told %s later", x.leads(3, 5*time.Second))
	x.signal(x.Nodes[1], syscall.SIGKILL)
	t.Logf("the program is killed: the router knows %s later", x.leads(2, time.Second))
	x.signal(x.Nodes[2], syscall.SIGTERM)
	t.Logf("the program ends: the router knows %s later", x.leads(1, time.Second))
	x.speaks(x.Nodes[1])
	x.speaks(x.Nodes[2])
	t.Logf("started again: told %s later", x.leads(3, 10*time.Second))
	x.signal(x.Nodes[1], syscall.SIGSTOP)
	t.Logf("stopped: the router knows %s later", x.leads(2, 12*time.Second))
	x.signal(x.Nodes[1], syscall.SIGCONT)
	x.leads(3, 20*time.Second)
	if err := control.NewClient(filepath.Join(x.dir, "n1", "run", control.SocketName)).Handover(t.Context(), ""); err == nil {
		t.Error("handed over, and there is nothing to")
	}
}

// A node that is cut off is noticed by BFD in a second, and a wrong password or AS is said.
func TestBGPWithBFDAndPassword(t *testing.T) {
	x := newTrio(t, 2)
	file := filepath.Join(x.dir, "password")
	must(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
	for _, n := range x.Nodes {
		_, err := n.Serve()
		must(t, err)
		x.speaks(n, "--bgp-bfd", "100ms", "--bgp-password-file", file)
	}
	f := x.routed(func(p *viptest.FRRPeer) { p.BFD, p.Password = true, "s3cret" })
	x.leads(2, 15*time.Second)
	until(t, "BFD is up", func() bool { return strings.Count(f.Ask("show bfd peers brief"), " up ") == 4 })
	must(t, x.Cut(x.Nodes[0]))
	t.Logf("cut off: the router knows %s later", x.leads(1, 2*time.Second))
	must(t, x.Heal(x.Nodes[0]))
	x.leads(2, 20*time.Second)
	x.procs["n1"].Stop()
	x.leads(1, time.Second)
	x.speaks(x.Nodes[0], "--bgp-bfd", "100ms", "--bgp-password-file", file, "--bgp-as", "65009")
	until(t, "the wrong AS is said", x.says(x.Nodes[0], "is AS 65009 what it expects"))
	x.procs["n1"].Stop()
	must(t, os.WriteFile(file, []byte("another\n"), 0o600))
	x.speaks(x.Nodes[0], "--bgp-hold-time", "3s", "--bgp-password-file", file)
	until(t, "the wrong password is guessed", x.says(x.Nodes[0], "is the password the same"))
	x.leads(1, time.Second)
}

// says whether all of a node's sessions are not there for a reason.
func (x *trio) says(n *viptest.Node, why string) func() bool {
	return func() bool {
		s, err := x.status(n)
		return err == nil && len(s.Peers) == 2 && strings.Contains(s.Peers[0].Why, why) && strings.Contains(s.Peers[1].Why, why)
	}
}

// What cannot work is said at once.
func TestBGPRefuses(t *testing.T) {
	x := newTrio(t, 1)
	peer := []string{"--bgp-peers", "10.77.0.9=65001"}
	for want, args := range map[string][]string{
		"every node would answer: choose one of no subnet":           append([]string{"--address", viptest.VIP4.String()}, peer...),
		"no peer: name the routers":                                  {"--address", anywhere4},
		`"10.77.0.9" is no ADDRESS=AS, such as`:                      {"--address", anywhere4, "--bgp-peers", "10.77.0.9"},
		`AS "65536000000" is none`:                                   {"--address", anywhere4, "--bgp-peers", "10.77.0.9=65536000000"},
		`--bgp-as: AS "23456" is none`:                               append([]string{"--address", anywhere4, "--bgp-as", "23456"}, peer...),
		"no peer would be told of 2001:db8:99::10":                   append([]string{"--address", anywhere4 + "," + anywhere6}, peer...),
		"peer 10.77.0.9 is named twice":                              {"--address", anywhere4, "--bgp-peers", "10.77.0.9=65001,10.77.0.9=65002"},
		"hold time 1s is none":                                       append([]string{"--address", anywhere4, "--bgp-hold-time", "1s"}, peer...),
		"BFD is for the next router only (RFC 5881)":                 append([]string{"--address", anywhere4, "--bgp-bfd", "1s", "--bgp-hops", "3"}, peer...),
		"read the BGP password":                                      append([]string{"--address", anywhere4, "--bgp-password-file", "/nonexistent"}, peer...),
		"--table-id: it means nothing with --mode=bgp, leave it out": append([]string{"--address", anywhere4, "--table-id", "7"}, peer...),
	} {
		x.refuses(x.Nodes[0], want, append([]string{"--mode", "bgp"}, args...)...)
	}
}
