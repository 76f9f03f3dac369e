package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// Addresses that no subnet has: only routers know where they are.
const anywhere4, anywhere6 = "192.0.2.10", "2001:db8:99::10"

// inTable lists what a routing daemon would export, and whether the node has the addresses.
func inTable(t *testing.T, n *viptest.Node) string {
	t.Helper()
	var out []byte
	must(t, n.NS.Do(func() (err error) {
		out, err = exec.Command("sh", "-c", "ip -4 route show table 198 proto 248 2>/dev/null; ip -6 route show table 198 proto 248 2>/dev/null; ip -br addr show tsunagu-vip 2>/dev/null; true").CombinedOutput()
		return err
	}))
	return string(out)
}

// over is a route of IPv6 whose time is over: the kernel takes it away when it tidies up, half a minute later at most.
var over = regexp.MustCompile(`(?m)^.* expires (0|-[0-9]+)sec.*$`)

// becomes waits until the node's table has both addresses, or neither, and tells after how long.
func becomes(t *testing.T, n *viptest.Node, there bool, most time.Duration) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		text := over.ReplaceAllString(inTable(t, n), "")
		has4, has6 := strings.Count(text, anywhere4), strings.Count(text, anywhere6)
		want := 0
		if there {
			want = 3 // the route, the source in it, and the address
		}
		if has4 == want && (has6 == 2) == there && (has6 == 0) == !there {
			return time.Since(began)
		}
		if time.Since(began) > most {
			t.Fatalf("after %s, wanted there: %v:\n%s", most, there, text)
		}
	}
}

// Routes are in the table while the node's API server works, and go when it does not, when the program ends, and when it is killed.
func TestRoutingTable(t *testing.T) {
	x := newTrio(t, 2)
	n, client := x.Nodes[0], x.Nodes[1]
	run := func() {
		t.Helper()
		o := x.said[n.Name]
		if o == nil {
			o = &output{}
			x.said[n.Name] = o
		}
		p, err := n.Start(o, []string{asProgram + "=1"}, os.Args[0], "--mode", "table", "--address", anywhere4+","+anywhere6,
			"--state-dir", filepath.Join(x.dir, n.Name, "state"), "--run-dir", filepath.Join(x.dir, n.Name, "run"))
		must(t, err)
		x.procs[n.Name] = p
	}
	run()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s, err := x.status(n); err == nil && s.Mode == "table" && !s.Owns {
			break
		} else if time.Now().After(end) {
			t.Fatalf("status %+v, %v", s, err)
		}
	}
	if text := inTable(t, n); strings.Contains(text, anywhere4) || strings.Contains(text, anywhere6) {
		t.Errorf("there is no API server, and the addresses are there:\n%s", text)
	}
	api, err := n.Serve()
	must(t, err)
	t.Logf("there %s after the API server", becomes(t, n, true, 5*time.Second))
	if s, err := x.status(n); err != nil || !s.Owns || s.Owner != n.IP.String() {
		t.Errorf("status %+v, %v", s, err)
	}
	// A router that leads here.
	must(t, viptest.Inside(client.NS, fmt.Sprintf("ip route replace %s/32 via %s", anywhere4, n.IP)))
	must(t, client.NS.Do(func() error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(anywhere4, "6443"), 2*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}))
	must(t, viptest.Inside(n.NS, "ip route flush table 198"))
	t.Logf("back %s after somebody took the routes away", becomes(t, n, true, 3*time.Second))
	api.Kill()
	t.Logf("gone %s after the API server", becomes(t, n, false, 3*time.Second))
	_, err = n.Serve()
	must(t, err)
	becomes(t, n, true, 5*time.Second)
	x.signal(n, syscall.SIGKILL)
	t.Logf("gone %s after a kill", becomes(t, n, false, 4*time.Second))
	run()
	becomes(t, n, true, 5*time.Second)
	if err := control.NewClient(filepath.Join(x.dir, n.Name, "run", control.SocketName)).Handover(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "every node has the addresses") {
		t.Errorf("hand over: %v", err)
	}
	x.signal(n, syscall.SIGTERM)
	t.Logf("gone %s after the end", becomes(t, n, false, time.Second))
}

// What cannot work is said at once.
func TestRoutingTableRefuses(t *testing.T) {
	x := newTrio(t, 1)
	for want, args := range map[string][]string{
		"every node would answer: choose one of no subnet": {"--address", viptest.VIP4.String()},
		"--table-id: 254 is none of your own":              {"--address", anywhere4, "--table-id", "254"},
		"--table-protocol: 2 is none":                      {"--address", anywhere4, "--table-protocol", "2"},
		"--weight: it means nothing with --mode=table":     {"--address", anywhere4, "--weight", "3"},
		"--vrrp-router-id: it means nothing":               {"--address", anywhere4, "--vrrp-router-id", "3"},
	} {
		x.refuses(x.Nodes[0], want, append([]string{"--mode", "table"}, args...)...)
	}
}

// refuses runs the program on a node, where it is to end at once and to say why.
func (x *trio) refuses(n *viptest.Node, want string, flags ...string) {
	x.t.Helper()
	o := &output{}
	p, err := n.Start(o, []string{asProgram + "=1"}, append([]string{os.Args[0], "--state-dir", filepath.Join(x.dir, "state"), "--run-dir", filepath.Join(x.dir, "run")}, flags...)...)
	must(x.t, err)
	defer p.Stop()
	for end := time.Now().Add(3 * time.Second); !p.Ended() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if !p.Ended() || !strings.Contains(o.String(), want) {
		x.t.Errorf("%v: ended %v: %s", flags, p.Ended(), o)
	}
}
