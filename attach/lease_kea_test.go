package attach

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// keaConf is a configuration of kea: leases of ten seconds that are renewed every two, written to a file at once.
const keaConf = `{"Dhcp%[1]d": {
	"interfaces-config": {"interfaces": ["wire"], "service-sockets-max-retries": 50, "service-sockets-retry-wait-time": 100},
	"lease-database": {"type": "memfile", "persist": true, "name": "%[2]s/kea-leases%[1]d.csv", "lfc-interval": 0},
	"valid-lifetime": 10, "renew-timer": 2, "rebind-timer": 6, %[3]s
	"loggers": [{"name": "kea-dhcp%[1]d", "severity": "DEBUG", "debuglevel": 50, "output_options": [{"output": "stdout", "flush": true}]}]
}}`

// kea serves a subnet; v is 4 or 6.
func (n *node) kea(v int, address, rest string) *daemon {
	n.Helper()
	conf := filepath.Join(n.dir, fmt.Sprintf("kea%d.conf", v))
	n.must(os.WriteFile(conf, []byte(fmt.Sprintf(keaConf, v, n.dir, rest)), 0o600))
	if v == 6 { // kea binds to the interface's own address, which is there after the kernel has looked for duplicates
		n.must(n.conn.Apply(link.Up("up1", n.index("up1"))))
		n.address(n.outside(), "wire", address)
		n.linkLocal()
	}
	d := n.run(address, fmt.Sprintf("kea-dhcp%d", v), "-c", conf)
	d.heard(10*time.Second, 1, "STARTED")
	return d
}

func (n *node) linkLocal() {
	n.Helper()
	c, err := link.Dial(n.outside())
	n.must(err)
	defer c.Close()
	for range 300 {
		addresses, err := c.Addresses()
		n.must(err)
		for _, a := range addresses {
			if a.Prefix.Addr().Is6() && a.Prefix.Addr().IsLinkLocalUnicast() && !a.Tentative {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	n.Fatal("wire has no link-local address")
}

// written is what the server's file of leases says of an address: kea appends a line for each time that it gives the lease.
func (d *daemon) written(v int, address string) (lines []string) {
	d.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, fmt.Sprintf("kea-leases%d.csv", v)))
	d.must(err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, address+",") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// renewed waits until the lease was written so often.
func (d *daemon) renewed(v int, address string, times int) {
	d.Helper()
	for end := time.Now().Add(25 * time.Second); len(d.written(v, address)) < times; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatalf("the lease of %s was written %d times, want %d: %q", address, len(d.written(v, address)), times, d.written(v, address))
		}
	}
}

// A lease of kea is renewed again and again, before and after the agent was killed, and given back.
func TestLeaseOfKea(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	server := n.kea(4, "10.20.0.1/24", `"subnet4": [{"id": 1, "subnet": "10.20.0.0/24", "pools": [{"pool": "10.20.0.50-10.20.0.60"}], "option-data": [{"name": "routers", "data": "10.20.0.1"}]}],`)
	n.define("lan", leasedNet)
	s := n.pod("web", `[{"name":"lan","default-route":["10.20.0.1"]}]`)
	s.add()
	has := s.interfaces()["net1"]
	if len(has) != 1 || !strings.HasPrefix(has[0], "10.20.0.") {
		t.Fatalf("interfaces: %v", has)
	}
	x := netip.MustParsePrefix(has[0]).Addr().String()
	record, _ := n.server.records.get(s.id)
	if r := record.Interfaces[1].Routes; len(r) != 1 || r[0].Dst.Bits() != 0 || r[0].Gateway.String() != "10.20.0.1" {
		t.Errorf("routes: %+v", r)
	}
	s.ok("CHECK")
	server.renewed(4, x, 3)
	n.stop()
	n.leases.Kill()
	n.boot()
	server.renewed(4, x, len(server.written(4, x))+2)
	if got := s.interfaces()["net1"]; len(got) != 1 || got[0] != has[0] {
		t.Errorf("the address was %v, and is %v", has, got)
	}
	s.ok("CHECK")
	s.ok("DEL")
	server.heard(5*time.Second, 1, "RELEASE")
	n.clean()
}

// The same with DHCPv6.
func TestLeaseOfKeaV6(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	server := n.kea(6, "fd00:20::1/64", `"data-directory": "`+n.dir+`", "preferred-lifetime": 8, "subnet6": [{"id": 1, "interface": "wire", "subnet": "fd00:20::/64", "pools": [{"pool": "fd00:20::50-fd00:20::60"}], "option-data": [{"name": "dns-servers", "data": "fd00:20::2"}]}],`)
	n.define("lan", `{"name":"lan","type":"macvlan","master":"up1","ipam":{"type":"dhcp","dhcp4":false,"dhcp6":true}}`)
	s := n.pod("web", "lan")
	began := time.Now()
	s.add()
	t.Logf("ADD took %v", time.Since(began))
	has := s.interfaces()["net1"]
	if len(has) != 1 || !strings.HasPrefix(has[0], "fd00:20::") {
		t.Fatalf("interfaces: %v", has)
	}
	x := netip.MustParsePrefix(has[0]).Addr().String()
	if status := n.status(t, "default/web"); !strings.Contains(status, "fd00:20::2") || !strings.Contains(status, x) {
		t.Error(status)
	}
	server.renewed(6, x, 3)
	n.stop()
	n.leases.Kill()
	n.boot()
	server.renewed(6, x, len(server.written(6, x))+2)
	s.ok("CHECK")
	s.ok("DEL")
	server.heard(5*time.Second, 1, "RELEASE")
	n.clean()
}

// A server that was replaced by one that knows nothing of the lease refuses it: the Pod gets another address and is told.
func TestLeaseThatIsRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	subnet := `"authoritative": true, "subnet4": [{"id": 1, "subnet": "10.20.0.0/24", "pools": [{"pool": "10.20.0.%s"}]}],`
	first := n.kea(4, "10.20.0.1/24", fmt.Sprintf(subnet, "50-10.20.0.50"))
	n.define("lan", leasedNet)
	s := n.pod("web", "lan")
	s.add()
	first.end()
	n.must(os.Remove(filepath.Join(n.dir, "kea-leases4.csv")))
	n.kea(4, "10.20.0.1/24", fmt.Sprintf(subnet, "70-10.20.0.70"))
	for end := time.Now().Add(25 * time.Second); !slices.Equal(s.interfaces()["net1"], []string{"10.20.0.70/24"}); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the Pod has %v", s.interfaces()["net1"])
		}
	}
	n.told(t, "Warning", "LeaseLost", "10.20.0.50", "default/lan")
	n.told(t, "Normal", "LeaseChanged", "10.20.0.70/24")
	s.ok("CHECK")
	s.ok("DEL")
	n.clean()
}

// A segment without a server refuses the Pod within the time that was promised, and says what was sent.
func TestSegmentWithoutAServer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.address(n.outside(), "wire", "10.20.0.1/24")
	n.define("lan", leasedNet)
	s := n.pod("web", "lan")
	r := s.call("ADD")
	e := r.failure(t)
	if e.Code != 11 || !strings.Contains(e.Details, "NoLease") || !strings.Contains(e.Msg, "DISCOVER was sent 3 times in 8 s to 255.255.255.255 port 67, and nobody answered") {
		t.Errorf("%+v", e)
	}
	if r.took > 12*time.Second {
		t.Errorf("it took %v", r.took)
	}
	n.told(t, "Warning", "NoLease", "default/lan", "tcpdump", "To fix")
	n.clean()
	n.define("end", `{"type":"ptp","ipam":{"type":"dhcp"}}`)
	if e := n.pod("ptp", "end").call("ADD").failure(t); !strings.Contains(e.Details, "BadAddressConfig") || !strings.Contains(e.Msg, "ptp has none") {
		t.Errorf("%+v", e)
	}
}
