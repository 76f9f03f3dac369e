package attach

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/install"
	"github.com/tsunagu-net/tsunagu/attach/reference"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

func TestAsIPAM(t *testing.T) {
	if mainType != install.ShimName {
		t.Errorf("the shim is installed as %s, and known here as %s", install.ShimName, mainType)
	}
	for _, c := range []struct {
		plugin, section string
		want            bool
	}{
		{mainType, "", false}, {mainType, "whereabouts", false}, {"macvlan", "whereabouts", true}, {"bridge", "tsunagu", true},
		{"ipvlan", "static", true}, {"bridge", "host-local", true}, {"macvlan", "dhcp", false}, {"macvlan", "", false}, {"", "whereabouts", false},
	} {
		if asIPAM(c.plugin, c.section) != c.want {
			t.Errorf("type %q with ipam.type %q: want %v", c.plugin, c.section, c.want)
		}
	}
}

// foreign runs a reference plugin on the node, which executes the shim under the name of an IPAM plugin.
func (s *sandbox) foreign(verb, plugin, ifName, ipamSection, more string) reply {
	s.Helper()
	path := filepath.Join(reference.Debian, plugin)
	if _, err := os.Stat(path); err != nil {
		s.Fatalf("the reference plugin %s is needed (apt-get install containernetworking-plugins): %v", plugin, err)
	}
	bin := s.dir + "/bin"
	s.must(os.MkdirAll(bin, 0o755))
	for _, name := range []string{"whereabouts", "tsunagu"} {
		if _, err := os.Stat(bin + "/" + name); err != nil {
			s.must(os.Symlink(shimBinary, bin+"/"+name))
		}
	}
	env := s.env(verb)
	env["CNI_IFNAME"], env["CNI_PATH"] = ifName, bin+":"+reference.Debian
	config := fmt.Sprintf(`{"cniVersion":%q,"name":"lan","type":%q,"master":"up1","bridge":"br0","socket":%q,"retrySeconds":3,"ipam":%s%s}`, s.version, plugin, s.socket(), ipamSection, more)
	return s.plugin(path, env, config)
}

func (s *sandbox) foreignAdd(plugin, ifName, section, more string) (addresses []string) {
	s.Helper()
	r := s.foreign("ADD", plugin, ifName, section, more)
	var result addResult
	if err := json.Unmarshal([]byte(r.output), &result); err != nil || r.code != 0 {
		s.Fatalf("ADD by %s: exit %d: %v: %s", plugin, r.code, err, r.output)
	}
	for _, ip := range result.IPs {
		addresses = append(addresses, ip.Address)
	}
	return addresses
}

const whereaboutsLAN = `{"type":"whereabouts","range":"10.66.0.0/24","range_start":"10.66.0.10","gateway":"10.66.0.1","ipRanges":[{"range":"fd66::/64"}],"routes":[{"dst":"10.77.0.0/16"}]}`

// The reference macvlan and bridge plugins make the interfaces, and their IPAM plugin "whereabouts" is the shim.
func TestReferencePluginsTakeAddressesOfUs(t *testing.T) {
	n := newNode(t)
	one, two := n.pod("one", ""), n.pod("two", "")
	if got := one.foreignAdd("macvlan", "net1", whereaboutsLAN, ""); !slices.Equal(got, []string{"10.66.0.10/24", "fd66::1/64"}) {
		t.Errorf("have %v", got)
	}
	two.version = "0.3.1"
	if got := two.foreignAdd("bridge", "net1", whereaboutsLAN, ""); !slices.Equal(got, []string{"10.66.0.11/24", "fd66::2/64"}) {
		t.Errorf("have %v", got)
	}
	if got := one.interfaces()["net1"]; !slices.Equal(got, []string{"10.66.0.10/24", "fd66::1/64"}) {
		t.Errorf("in the Pod: %v", got)
	}
	// A second interface of the same sandbox, with an address asked for in each of the three ways.
	for i, more := range []string{`,"runtimeConfig":{"ips":["10.66.0.50"]}`, `,"args":{"cni":{"ips":["10.66.0.51/24"]}}`} {
		ifName := fmt.Sprintf("net%d", i+2)
		if got := one.foreignAdd("macvlan", ifName, `{"type":"whereabouts","range":"10.66.0.0/24"}`, more); !slices.Equal(got, []string{fmt.Sprintf("10.66.0.5%d/24", i)}) {
			t.Errorf("%s: have %v", more, got)
		}
	}
	r := two.foreign("ADD", "macvlan", "net9", `{"type":"whereabouts","range":"10.66.0.0/24"}`, `,"runtimeConfig":{"ips":["10.66.0.50"]}`)
	if e := r.failure(t); !strings.Contains(e.Msg+e.Details, "in use by interface net2 of Pod default/one") {
		t.Errorf("have %+v", e)
	}
	n.told(t, "default/two", ipam.Taken, "10.66.0.50")
	// An agent that restarts keeps what others' interfaces have.
	n.stop()
	n.boot()
	if err := n.server.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if held := n.allocator.Held(); len(held) != 4 {
		t.Errorf("held: %+v", held)
	}
	if r := one.foreign("CHECK", "macvlan", "net9", whereaboutsLAN, ""); r.code == 0 {
		t.Errorf("CHECK of an interface without addresses: %s", r.output)
	}
	for range 2 {
		for ifName, s := range map[string]*sandbox{"net1": one, "net2": one, "net3": one} {
			if r := s.foreign("DEL", "macvlan", ifName, whereaboutsLAN, ""); r.code != 0 {
				t.Errorf("DEL: %s", r.output)
			}
		}
		if r := two.foreign("DEL", "bridge", "net1", whereaboutsLAN, ""); r.code != 0 {
			t.Errorf("DEL: %s", r.output)
		}
	}
	n.clean()
}

// Called as the main plugin of the same sandbox, the shim's own interfaces and those of others do not mix.
func TestLoansStandBesideTheSandbox(t *testing.T) {
	n := newNode(t)
	s := n.pod("both", "")
	s.add()
	s.foreignAdd("macvlan", "net1", whereaboutsLAN, "")
	s.ok("DEL")
	if held := n.allocator.Held(); len(held) != 1 || held[0].Owner.IfName != "net1" {
		t.Errorf("the other plugin's interface has its addresses until its own DEL: %+v", held)
	}
	// Its namespace is gone without a DEL: swept.
	s.ns.Close()
	if err := netns.Delete(s.id); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := n.server.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if i == 0 {
			for what := range n.server.suspects {
				n.server.suspects[what] = n.server.suspects[what].Add(-sure)
			}
		}
	}
	if held := n.allocator.Held(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
	if _, err := netns.Create(s.id); err != nil { // for the clean-up
		t.Fatal(err)
	}
}

// GC frees what the runtime has no more, of the network named only.
func TestLoanGC(t *testing.T) {
	n := newNode(t)
	s := n.pod("one", "")
	s.foreignAdd("macvlan", "net1", whereaboutsLAN, "")
	s.foreignAdd("macvlan", "net2", `{"type":"whereabouts","range":"10.67.0.0/24"}`, "")
	gc := func(network, valid string) {
		r := callShim(t, map[string]string{"CNI_COMMAND": "GC", "CNI_PATH": "/"}, fmt.Sprintf(
			`{"cniVersion":"1.1.0","name":%q,"type":"macvlan","socket":%q,"ipam":{"type":"whereabouts"},"cni.dev/valid-attachments":[%s]}`, network, s.socket(), valid))
		if r.code != 0 {
			t.Fatalf("GC: %s", r.output)
		}
	}
	gc("other", "")
	if held := n.allocator.Held(); len(held) != 2 {
		t.Errorf("held: %+v", held)
	}
	gc("lan", fmt.Sprintf(`{"containerID":%q,"ifname":"net2"}`, s.id))
	if held := n.allocator.Held(); len(held) != 1 || held[0].Grants[0].Address != netip.MustParsePrefix("10.67.0.1/24") {
		t.Errorf("held: %+v", held)
	}
}
