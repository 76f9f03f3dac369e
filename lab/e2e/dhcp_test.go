package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// dhcpServer is dnsmasq on the host outside, on segment up1. Its leases are renewed every five seconds.
type dhcpServer struct {
	t         *testing.T
	dir, pid  string
	log, held string
}

func serveDHCP(t *testing.T) *dhcpServer {
	t.Helper()
	dir := t.TempDir()
	s := &dhcpServer{t: t, dir: dir, pid: filepath.Join(dir, "pid"), log: filepath.Join(dir, "log"), held: filepath.Join(dir, "leases")}
	conf := filepath.Join(dir, "conf")
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf(`port=0
interface=up1
bind-interfaces
user=root
no-ping
dhcp-authoritative
log-dhcp
log-facility=%s
pid-file=%s
dhcp-leasefile=%s
dhcp-range=10.88.0.50,10.88.0.99,255.255.255.0,120s
dhcp-option=option:T1,5s
dhcp-option=option:T2,100s
dhcp-option=option:router,10.88.0.1
dhcp-option=option:dns-server,10.88.0.2
`, s.log, s.pid, s.held)), 0o600))
	_, err := lab.Exec(within(t, 20*time.Second), "outside", "ip", "address", "replace", "10.88.0.1/24", "dev", "up1")
	must(t, err)
	_, err = lab.Exec(within(t, 20*time.Second), "outside", "dnsmasq", "--conf-file="+conf)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		pid, _ := os.ReadFile(s.pid)
		for _, argv := range [][]string{{"kill", strings.TrimSpace(string(pid))}, {"ip", "address", "del", "10.88.0.1/24", "dev", "up1"}} {
			if out, err := lab.Exec(ctx, "outside", argv...); err != nil {
				t.Errorf("%v: %v: %s", argv, err, out)
			}
		}
		if t.Failed() {
			text, _ := os.ReadFile(s.log)
			t.Log(tail(string(text), 60))
		}
	})
	return s
}

// count is how often the server did something for an address.
func (s *dhcpServer) count(what, address string) int {
	text, _ := os.ReadFile(s.log)
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, what+"(") && strings.Contains(line, " "+address+" ") {
			n++
		}
	}
	return n
}

// heard waits until the server has done something for an address so often.
func (s *dhcpServer) heard(what, address string, times int) {
	s.t.Helper()
	must(s.t, drive.Until(within(s.t, time.Minute), 200*time.Millisecond, func(context.Context) error {
		if n := s.count(what, address); n < times {
			return fmt.Errorf("the server logged %s for %s %d times, want %d", what, address, n, times)
		}
		return nil
	}))
}

// Pods on two nodes get addresses of a DHCP server on their segment, and keep them while agents are killed and leases are renewed. A
// deleted Pod gives its address back.
func TestDHCP(t *testing.T) {
	ns := room(t, "e2e-dhcp")
	server := serveDHCP(t)
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan, namespace: `+ns+`}
spec:
  config: |
    {"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "up1", "mode": "bridge",
     "ipam": {"type": "dhcp", "provide": [{"option": "host-name", "fromArg": "K8S_POD_NAME"}]}}
`))
	a, b := create(t, ns, "a", "node1", "lan"), create(t, ns, "b", "node2", "lan")
	ofA, ofB := address(t, a, ns+"/lan", false), address(t, b, ns+"/lan", false)
	if ofA == ofB || !strings.HasPrefix(ofA, "10.88.0.") || !strings.HasPrefix(ofB, "10.88.0.") {
		t.Fatalf("addresses %s and %s", ofA, ofB)
	}
	ping(t, a, "net1", ofB)
	ping(t, b, "net1", ofA)
	ping(t, a, "net1", "10.88.0.1")
	server.heard("DHCPACK", ofA, 3)
	server.heard("DHCPACK", ofB, 3)

	for _, node := range []string{"node1", "node2"} {
		n, err := lab.Kill(node, "tsunagu-agent")
		if must(t, err); n == 0 {
			t.Fatalf("no agent was killed on %s", node)
		}
	}
	before := server.count("DHCPACK", ofA)
	server.heard("DHCPACK", ofA, before+2)
	server.heard("DHCPACK", ofB, before+2)
	if n := server.count("DHCPOFFER", ofA) + server.count("DHCPOFFER", ofB); n != 2 {
		t.Errorf("%d offers for two Pods: an agent asked anew after it was killed", n)
	}
	ping(t, a, "net1", ofB)

	_, err := lab.Kubectl(within(t, time.Minute), "delete", "pod", "a", "-n", ns, "--grace-period=1")
	must(t, err)
	server.heard("DHCPRELEASE", ofA, 1)
	held, err := os.ReadFile(server.held)
	if must(t, err); strings.Contains(string(held), " "+ofA+" ") || !strings.Contains(string(held), " "+ofB+" ") {
		t.Errorf("leases of the server after a was deleted:\n%s", held)
	}
}

// A definition of type host-local that two nodes use gets a warning that names the annotation, and with the annotation no address twice.
func TestHostLocal(t *testing.T) {
	ns := room(t, "e2e-hostlocal")
	define := func(name, annotations string) {
		must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: `+name+`, namespace: `+ns+`, annotations: {`+annotations+`}}
spec:
  config: |
    {"cniVersion": "1.0.0", "name": "`+name+`", "type": "macvlan", "master": "up2", "mode": "bridge",
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.89.0.0/24", "rangeStart": "10.89.0.200", "rangeEnd": "10.89.0.246"}]]}}
`))
	}
	define("mine", "")
	define("ours", `tsunagu.dev/host-local: cluster`)
	a := create(t, ns, "a", "node1", "ours")
	b := create(t, ns, "b", "node2", "ours")
	if x, y := address(t, a, ns+"/ours", false), address(t, b, ns+"/ours", false); x == y {
		t.Errorf("both have %s, although the definition counts in the cluster", x)
	}
	create(t, ns, "first", "node1", "mine")
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "second", "node2", `[{"name":"mine","ips":["10.89.0.210"]}]`)))
	t.Log(warning(t, ns, "second", 15*time.Second, "AddressesCountedPerNode", ns+"/first", "tsunagu.dev/host-local=cluster"))
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "outside", "node2", `[{"name":"mine","ips":["10.89.0.150"]}]`)))
	t.Log(warning(t, ns, "outside", 8*time.Second, "10.89.0.150", "10.89.0.200-10.89.0.246"))
}
