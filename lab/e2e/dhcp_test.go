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

// dhcpServer is one on the host outside, on segment up1. Its leases are renewed every few seconds.
type dhcpServer struct {
	t *testing.T
	// given is how often it gave or renewed the lease of an address, released whether it was given back.
	given    func(address string) int
	released func(address string) bool
	// leased are the addresses that it ever gave a lease of.
	leased func() []string
}

// heard waits until the lease of an address was given so often.
func (s *dhcpServer) heard(address string, times int) {
	s.t.Helper()
	must(s.t, drive.Until(within(s.t, time.Minute), 200*time.Millisecond, func(context.Context) error {
		if n := s.given(address); n < times {
			return fmt.Errorf("the server gave the lease of %s %d times, want %d", address, n, times)
		}
		return nil
	}))
}

// serve starts a server on the host outside. It writes its process id to the file pid in dir and what it does to the file log.
func serve(t *testing.T, dir string, argv ...string) {
	t.Helper()
	_, err := lab.Exec(within(t, 20*time.Second), "outside", "ip", "address", "replace", "10.88.0.1/24", "dev", "up1")
	must(t, err)
	_, err = lab.Exec(within(t, 20*time.Second), "outside", argv...)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		pid, _ := os.ReadFile(filepath.Join(dir, "pid"))
		for _, argv := range [][]string{{"kill", strings.TrimSpace(string(pid))}, {"ip", "address", "del", "10.88.0.1/24", "dev", "up1"}} {
			if out, err := lab.Exec(ctx, "outside", argv...); err != nil {
				t.Errorf("%v: %v: %s", argv, err, out)
			}
		}
		if t.Failed() {
			t.Log(tail(text(filepath.Join(dir, "log")), 60))
		}
	})
}

func text(path string) string {
	all, _ := os.ReadFile(path)
	return string(all)
}

func serveDnsmasq(t *testing.T) *dhcpServer {
	t.Helper()
	dir := t.TempDir()
	log, conf := filepath.Join(dir, "log"), filepath.Join(dir, "conf")
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf(`port=0
interface=up1
bind-interfaces
user=root
no-ping
dhcp-authoritative
log-dhcp
log-facility=%[1]s/log
pid-file=%[1]s/pid
dhcp-leasefile=%[1]s/leases
dhcp-range=10.88.0.50,10.88.0.99,255.255.255.0,120s
dhcp-option=option:T1,5s
dhcp-option=option:T2,100s
dhcp-option=option:router,10.88.0.1
dhcp-option=option:dns-server,10.88.0.2
`, dir)), 0o600))
	serve(t, dir, "dnsmasq", "--conf-file="+conf)
	count := func(what, address string) (n int) {
		for line := range strings.Lines(text(log)) {
			if strings.Contains(line, what+"(") && strings.Contains(line, " "+address+" ") {
				n++
			}
		}
		return n
	}
	return &dhcpServer{t: t,
		given: func(address string) int { return count("DHCPACK", address) },
		released: func(address string) bool {
			return count("DHCPRELEASE", address) == 1 && !strings.Contains(text(filepath.Join(dir, "leases")), " "+address+" ")
		},
		leased: func() (all []string) {
			for i := range 50 {
				if x := fmt.Sprint("10.88.0.", 50+i); count("DHCPOFFER", x) > 0 {
					all = append(all, x)
				}
			}
			return all
		}}
}

// serveKea is the same with kea, whose file of leases has a line for each time that it gave one.
func serveKea(t *testing.T) *dhcpServer {
	t.Helper()
	dir := t.TempDir()
	conf, leases := filepath.Join(dir, "conf"), filepath.Join(dir, "leases.csv")
	must(t, os.WriteFile(conf, []byte(`{"Dhcp4": {"interfaces-config": {"interfaces": ["up1"]}, "authoritative": true,
	"lease-database": {"type": "memfile", "persist": true, "name": "`+leases+`", "lfc-interval": 0},
	"valid-lifetime": 120, "renew-timer": 5, "rebind-timer": 100,
	"subnet4": [{"id": 1, "interface": "up1", "subnet": "10.88.0.0/24", "pools": [{"pool": "10.88.0.50-10.88.0.99"}],
		"option-data": [{"name": "routers", "data": "10.88.0.1"}, {"name": "domain-name-servers", "data": "10.88.0.2"}]}]}}`), 0o600))
	serve(t, dir, "sh", "-c", fmt.Sprintf("export KEA_PIDFILE_DIR=%[1]s KEA_LOCKFILE_DIR=%[1]s KEA_DHCP_DATA_DIR=%[1]s; "+
		"PATH=$PATH:/usr/sbin kea-dhcp4 -c %[2]s </dev/null >%[1]s/log 2>&1 & echo $! > %[1]s/pid", dir, conf))
	must(t, drive.Until(within(t, 20*time.Second), 200*time.Millisecond, func(context.Context) error {
		if !strings.Contains(text(filepath.Join(dir, "log")), "STARTED") {
			return fmt.Errorf("kea has not started: %s", tail(text(filepath.Join(dir, "log")), 5))
		}
		return nil
	}))
	lines := func(address string) (found [][]string) {
		for line := range strings.Lines(text(leases)) {
			if fields := strings.Split(line, ","); fields[0] == address {
				found = append(found, fields)
			}
		}
		return found
	}
	return &dhcpServer{t: t,
		given: func(address string) int { return len(lines(address)) },
		released: func(address string) bool {
			all := lines(address)
			return len(all) > 0 && len(all[len(all)-1]) > 3 && all[len(all)-1][3] == "0" // valid_lifetime
		},
		leased: func() (all []string) {
			for i := range 50 {
				if x := fmt.Sprint("10.88.0.", 50+i); len(lines(x)) > 0 {
					all = append(all, x)
				}
			}
			return all
		}}
}

// Pods on two nodes get addresses of a DHCP server on their segment, and keep them while agents are killed and leases are renewed. A
// deleted Pod gives its address back.
func TestDHCP(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *dhcpServer{"dnsmasq": serveDnsmasq, "kea": serveKea} {
		t.Run(name, func(t *testing.T) { leases(t, room(t, "e2e-"+name), start(t)) })
	}
}

func leases(t *testing.T, ns string, server *dhcpServer) {
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
	server.heard(ofA, 3)
	server.heard(ofB, 3)

	for _, node := range []string{"node1", "node2"} {
		n, err := lab.Kill(node, "tsunagu-agent")
		if must(t, err); n == 0 {
			t.Fatalf("no agent was killed on %s", node)
		}
	}
	before := server.given(ofA)
	server.heard(ofA, before+2)
	server.heard(ofB, before+2)
	if all := server.leased(); len(all) != 2 {
		t.Errorf("the server gave leases of %v to two Pods: an agent asked anew after it was killed", all)
	}
	ping(t, a, "net1", ofB)

	_, err := lab.Kubectl(within(t, time.Minute), "delete", "pod", "a", "-n", ns, "--grace-period=1")
	must(t, err)
	must(t, drive.Until(within(t, 20*time.Second), 200*time.Millisecond, func(context.Context) error {
		if !server.released(ofA) || server.released(ofB) {
			return fmt.Errorf("a was deleted: released are %s %v, %s %v", ofA, server.released(ofA), ofB, server.released(ofB))
		}
		return nil
	}))
}

// A definition of type host-local gives no address twice on a segment that nodes share. A bridge of each node's own counts on each node, and
// gets a warning that names the annotation.
func TestHostLocal(t *testing.T) {
	ns := room(t, "e2e-hostlocal")
	define := func(name, plugin string) {
		must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: `+name+`, namespace: `+ns+`}
spec:
  config: |
    {"cniVersion": "1.0.0", "name": "`+name+`", `+plugin+`,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.89.0.0/24", "rangeStart": "10.89.0.200", "rangeEnd": "10.89.0.246"}]]}}
`))
	}
	define("mine", `"type": "bridge", "bridge": "br-mine"`)
	define("ours", `"type": "macvlan", "master": "up2", "mode": "bridge"`)
	a := create(t, ns, "a", "node1", "ours")
	b := create(t, ns, "b", "node2", "ours")
	if x, y := address(t, a, ns+"/ours", false), address(t, b, ns+"/ours", false); x == y {
		t.Errorf("both have %s, although the nodes share the segment", x)
	}
	create(t, ns, "first", "node1", "mine")
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "second", "node2", `[{"name":"mine","ips":["10.89.0.210"]}]`)))
	t.Log(warning(t, ns, "second", 15*time.Second, "AddressesCountedPerNode", ns+"/first", "tsunagu.dev/host-local=cluster"))
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "outside", "node2", `[{"name":"mine","ips":["10.89.0.150"]}]`)))
	t.Log(warning(t, ns, "outside", 8*time.Second, "10.89.0.150", "10.89.0.200-10.89.0.246"))
}
