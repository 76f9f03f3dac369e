package attach

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// outside is the machine at the other end of up1.
func (n *node) outside() *netns.Namespace {
	n.Helper()
	ns, err := netns.Open(filepath.Join(netns.Dir, n.name+"-out"))
	n.must(err)
	n.Cleanup(func() { ns.Close() })
	return ns
}

// daemon is a server of others that runs outside.
type daemon struct {
	*node
	cmd  *exec.Cmd
	mu   sync.Mutex
	said bytes.Buffer
}

func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said.Write(b)
}

func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said.String()
}

// count is how many lines of the log have all the words.
func (d *daemon) count(words ...string) (lines int) {
	for line := range strings.Lines(d.text()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines++
		}
	}
	return lines
}

// heard waits until the log has some lines with all the words.
func (d *daemon) heard(most time.Duration, lines int, words ...string) {
	d.Helper()
	for end := time.Now().Add(most); d.count(words...) < lines; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatalf("the server did not say %q %d times within %v:\n%s", words, lines, most, d.text())
		}
	}
}

// run starts a server on the segment, which has the address. It must be installed: make deps does that.
func (n *node) run(address, name string, args ...string) *daemon {
	n.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path = "/usr/sbin/" + name; !exists(path) {
			n.Fatalf("%s is not installed: run make deps", name)
		}
	}
	ns := n.outside()
	n.must(n.conn.Apply(link.Up("up1", n.index("up1")))) // else wire does not run
	n.address(ns, "wire", address)
	d := &daemon{node: n, cmd: exec.Command(path, args...)}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d.cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+n.dir, "KEA_LOCKFILE_DIR="+n.dir, "KEA_DHCP_DATA_DIR="+n.dir)
	n.must(ns.Do(d.cmd.Start))
	n.Cleanup(d.end)
	return d
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func (d *daemon) end() {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
	if d.Failed() {
		d.Log(d.text())
	}
}

func (n *node) index(name string) int {
	n.Helper()
	l, err := n.conn.ByName(name)
	n.must(err)
	return l.Index
}

// address puts an address on an interface and sets it up.
func (n *node) address(ns *netns.Namespace, name, prefix string) {
	n.Helper()
	c, err := link.Dial(ns)
	n.must(err)
	defer c.Close()
	l, err := c.ByName(name)
	n.must(err)
	n.must(c.Apply(link.Up("lo", 1), link.Up(name, l.Index), link.AddAddress(name, l.Index, netip.MustParsePrefix(prefix), link.AddressOptions{}).Forgiving()))
}

// dnsmasq serves 10.20.0.50 to 10.20.0.60. Its leases last two minutes at least; that they are renewed every three seconds is an option.
func (n *node) dnsmasq(more ...string) *daemon {
	n.Helper()
	conf := filepath.Join(n.dir, "dnsmasq.conf")
	n.must(os.WriteFile(conf, nil, 0o600))
	d := n.run("10.20.0.1/24", "dnsmasq", append([]string{"--keep-in-foreground", "--conf-file=" + conf, "--log-facility=-", "--log-dhcp", "--user=root", "--port=0",
		"--no-ping", "--interface=wire", "--dhcp-authoritative", "--dhcp-leasefile=" + filepath.Join(n.dir, "leases"), "--pid-file=",
		"--dhcp-range=10.20.0.50,10.20.0.60,255.255.255.0,120s", "--dhcp-option=option:T1,3s", "--dhcp-option=option:T2,60s",
		"--dhcp-option=option:dns-server,10.20.0.2", "--dhcp-option=option:domain-search,a.example,b.example", "--dhcp-option=option:mtu,1400",
		"--dhcp-option=option:classless-static-route,10.30.0.0/16,10.20.0.9,192.0.2.0/24,10.99.0.1"}, more...)...)
	d.heard(5*time.Second, 1, "started")
	return d
}

const leasedNet = `{"name":"lan","type":"macvlan","master":"up1","ipam":{"type":"dhcp","provide":[{"option":"host-name","fromArg":"K8S_POD_NAME"}]}}`

// A lease of dnsmasq is acquired with all that comes with it, renewed, kept over the death of the agent, and given back.
func TestLeaseOfDnsmasq(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	server := n.dnsmasq()
	n.define("lan", leasedNet)
	n.define("lan2", strings.Replace(leasedNet, `"lan"`, `"lan2"`, 1))
	s := n.pod("web", "lan, lan2@data")
	began := time.Now()
	s.add()
	t.Logf("ADD with two leases took %v", time.Since(began))
	has := s.interfaces()
	if len(has["net1"]) != 1 || len(has["data"]) != 1 || has["net1"][0] == has["data"][0] || !strings.HasPrefix(has["net1"][0], "10.20.0.") {
		t.Fatalf("interfaces: %v", has)
	}
	s.ok("CHECK")
	server.heard(time.Second, 1, "DHCPACK", "web")
	record, _ := n.server.records.get(s.id)
	w := record.Interfaces[1]
	var routes []string
	for _, r := range w.Routes {
		routes = append(routes, r.Dst.String()+" "+r.Gateway.String())
	}
	if got := strings.Join(routes, ", "); got != "10.30.0.0/16 10.20.0.9, 10.99.0.1/32 invalid IP, 192.0.2.0/24 10.99.0.1" || w.MTU != 1400 {
		t.Errorf("routes %q, MTU %d", got, w.MTU)
	}
	status := n.status(t, "default/web")
	for _, want := range []string{strings.TrimSuffix(has["net1"][0], "/24"), `"nameservers": [`, "10.20.0.2", "a.example"} {
		if !strings.Contains(status, want) {
			t.Errorf("network-status lacks %q: %s", want, status)
		}
	}

	server.heard(10*time.Second, 2+2*2, "DHCPACK")
	n.stop()
	n.leases.Kill()
	acks := server.count("DHCPACK")
	asked := server.count("DHCPDISCOVER") // more than two if both were offered the same address first
	n.boot()
	server.heard(10*time.Second, acks+4, "DHCPACK")
	if server.count("DHCPDISCOVER") != asked || fmt.Sprint(s.interfaces()) != fmt.Sprint(has) {
		t.Errorf("asked anew after the restart, or another address: %v, had %v", s.interfaces(), has)
	}
	s.ok("CHECK")
	s.ok("DEL")
	server.heard(2*time.Second, 2, "DHCPRELEASE")
	if left, err := os.ReadFile(filepath.Join(n.dir, "leases")); err != nil || len(bytes.TrimSpace(left)) > 0 {
		t.Errorf("the server keeps %q, %v", left, err)
	}
	n.clean()
}
