package attach

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// fakePlugin is a plugin of others that does what its name says. It writes down how it was called, in the folder that its configuration
// names.
func fakePlugin(name string) int {
	input, _ := io.ReadAll(os.Stdin)
	var conf struct {
		CNIVersion, Dir string
		PrevResult      json.RawMessage
	}
	_ = json.Unmarshal(input, &conf)
	verb := os.Getenv("CNI_COMMAND")
	if conf.Dir != "" {
		f, err := os.OpenFile(filepath.Join(conf.Dir, name+".calls"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			fmt.Fprintf(f, "%s %s %s\t%s\n", verb, os.Getenv("CNI_IFNAME"), os.Getenv("CNI_NETNS"), input)
			f.Close()
		}
	}
	switch {
	case name == "act":
		return act(verb, input)
	case name == "slow" && verb == "ADD":
		time.Sleep(700 * time.Millisecond)
	case name == "never" && verb == "ADD":
		fmt.Fprintln(os.Stderr, "asking the switch")
		time.Sleep(time.Minute)
	case name == "sick" && verb == "STATUS":
		fmt.Print(`{"cniVersion":"1.1.0","code":50,"msg":"the fabric is down"}`)
		return 1
	}
	if verb != "ADD" {
		return 0
	}
	if len(conf.PrevResult) > 0 {
		_, _ = os.Stdout.Write(conf.PrevResult)
		return 0
	}
	fmt.Printf(`{"cniVersion":%q}`, conf.CNIVersion)
	return 0
}

// plant puts fake plugins on the node.
func (n *node) plant(names ...string) {
	n.Helper()
	self, err := os.Executable()
	n.must(err)
	n.must(os.MkdirAll(n.dir+"/bin", 0o755))
	for _, name := range names {
		n.must(os.Symlink(self, n.dir+"/bin/tstplug-"+name))
	}
}

// calls are how a fake plugin was called: verb and interface, and what it read.
func (n *node) calls(name string) (verbs []string, inputs []map[string]any) {
	n.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, name+".calls"))
	n.must(err)
	for line := range strings.Lines(string(text)) {
		head, input, _ := strings.Cut(line, "\t")
		verb, rest, _ := strings.Cut(head, " ")
		ifName, _, _ := strings.Cut(rest, " ")
		verbs = append(verbs, strings.TrimSpace(verb+" "+ifName))
		var m map[string]any
		n.must(json.Unmarshal([]byte(input), &m))
		inputs = append(inputs, m)
	}
	return verbs, inputs
}

// TestForeignPlugins runs Debian's reference plugins as a whole list, with an IPAM plugin of their own.
func TestForeignPlugins(t *testing.T) {
	for _, version := range []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0"} {
		t.Run(version, func(t *testing.T) {
			n := newNode(t)
			n.define("lan", fmt.Sprintf(`{"cniVersion":%q,"name":"lan","plugins":[
				{"type":"bridge","bridge":"tstbr","isGateway":true,"capabilities":{"ips":true,"mac":true},"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.77.0.0/24"}]],"routes":[{"dst":"172.20.0.0/16","gw":"10.77.0.1"}]}},
				{"type":"tuning","capabilities":{"mac":true},"sysctl":{"net.ipv4.conf.net1.arp_filter":"1"}}]}`, version, n.dir+"/leases"))
			n.binaries("lan")
			s := n.pod("web", `[{"name":"lan","ips":["10.77.0.9/24"],"mac":"02:00:5e:00:00:09"}]`)
			s.add()
			if have := s.interfaces()["net1"]; !slices.Contains(have, "10.77.0.9/24") {
				t.Errorf("net1 has %v", have)
			}
			var status []networkStatus
			n.must(json.Unmarshal([]byte(n.status(t, "default/web")), &status))
			if e := status[1]; e.Name != "default/lan" || e.Interface != "net1" || !slices.Equal(e.IPs, []string{"10.77.0.9"}) || e.MAC != "02:00:5e:00:00:09" || e.MTU != 1500 {
				t.Errorf("network-status: %+v", e)
			}
			s.ok("CHECK")
			delete(n.definitions, "default/lan") // the record alone is enough from here on
			s.ok("DEL")
			if have := s.interfaces(); len(have) > 0 {
				t.Errorf("left in the Pod: %v", have)
			}
			if _, err := os.Stat(n.dir + "/leases/lan/10.77.0.9"); err == nil {
				t.Error("host-local still holds the address")
			}
			s.ok("DEL")
			n.clean()
		})
	}
}

// TestTuningBehindForeign has tuning change an interface that was not made here: it is executed too, with every option that it has.
func TestTuningBehindForeign(t *testing.T) {
	n := newNode(t)
	n.must(os.MkdirAll(n.dir+"/bin", 0o755))
	n.must(os.Symlink("/usr/lib/cni/bridge", n.dir+"/bin/tstplug-made"))
	n.define("lan", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"lan","plugins":[
		{"type":"tstplug-made","bridge":"tstbr","ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.77.0.0/24"}]]}},
		{"type":"tuning","mac":"02:00:5e:00:00:0a","mtu":1410,"sysctl":{"net.ipv4.conf.net1.arp_filter":"1"},"dataDir":%q}]}`, n.dir+"/leases", n.dir+"/tuned"))
	s := n.pod("web", "lan")
	s.add()
	var status []networkStatus
	n.must(json.Unmarshal([]byte(n.status(t, "default/web")), &status))
	if e := status[1]; e.MAC != "02:00:5e:00:00:0a" || e.MTU != 1410 {
		t.Errorf("network-status: %+v", e)
	}
	s.ok("CHECK")
	s.ok("DEL")
	n.clean()
}

// TestForeignBehindBuiltIn mixes both in one list, and takes addresses of tsunagu for a plugin of others.
func TestForeignBehindBuiltIn(t *testing.T) {
	n := newNode(t)
	n.plant("next")
	n.must(os.Symlink(shimBinary, n.dir+"/bin/whereabouts"))
	n.define("mixed", fmt.Sprintf(`{"cniVersion":"1.1.0","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}},{"type":"tstplug-next","dir":%q,"capabilities":{"mac":true}}]}`, n.dir))
	n.define("theirs", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"theirs","type":"macvlan","master":"up1","socket":%q,"ipam":{"type":"whereabouts","range":"10.10.0.0/24","socket":%q}}`, n.socket(), n.socket()))
	n.binaries("theirs")
	s := n.pod("web", `[{"name":"mixed","mac":"02:00:5e:00:00:01","cni-args":{"tenant":"blue"}},{"name":"theirs"}]`)
	s.add()
	have := s.interfaces()
	if len(have["net1"]) != 1 || !strings.HasPrefix(have["net1"][0], "10.9.0.") || len(have["net2"]) != 1 || !strings.HasPrefix(have["net2"][0], "10.10.0.") {
		t.Errorf("interfaces: %v", have)
	}
	s.ok("CHECK")
	s.ok("DEL")
	verbs, inputs := n.calls("next")
	if !slices.Equal(verbs, []string{"ADD net1", "CHECK net1", "DEL net1"}) {
		t.Errorf("the plugin was called: %v", verbs)
	}
	for i, in := range inputs {
		prev, _ := in["prevResult"].(map[string]any)
		if prev == nil || prev["cniVersion"] != "1.1.0" || !strings.Contains(fmt.Sprint(prev["ips"]), have["net1"][0]) || !strings.Contains(fmt.Sprint(prev["interfaces"]), "02:00:5e:00:00:01") {
			t.Errorf("%s: prevResult %v", verbs[i], prev)
		}
		if got := fmt.Sprint(in["name"], in["runtimeConfig"], in["args"]); got != "mixedmap[mac:02:00:5e:00:00:01] map[cni:map[tenant:blue]]" {
			t.Errorf("%s: %s", verbs[i], got)
		}
	}
	n.clean()
}

// TestForeignFailureUndoesAll: the reason is told, and nothing stays.
func TestForeignFailureUndoesAll(t *testing.T) {
	n := newNode(t)
	n.plant("never", "slow")
	n.define("good", `{"type":"macvlan","master":"up1","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}}`)
	n.define("stuck", `{"cniVersion":"1.0.0","type":"tstplug-never"}`)
	n.define("absent", `{"cniVersion":"1.0.0","type":"calico"}`)
	n.define("wrong", `{"cniVersion":"1.0.0","name":"wrong","type":"bridge","bridge":"tstbr","vlan":9999}`)
	n.binaries("wrong")
	for name, says := range map[string]string{
		"stuck": "not done after 4s, killed; it said: asking the switch", "absent": `plugin "calico" is neither built in nor on this node`, "wrong": "plugin bridge, ADD: invalid VLAN ID 9999",
	} {
		s := n.pod("web-"+name, "good,"+name)
		e := s.call("ADD").failure(t)
		if !strings.Contains(e.Msg, says) || !strings.Contains(e.Msg, "default/"+name) {
			t.Errorf("%s: %+v", name, e)
		}
		n.told(t, "web-"+name, says)
		if have := s.interfaces(); len(have) > 0 {
			t.Errorf("%s: left in the Pod: %v", name, have)
		}
	}
	n.clean()
}

// TestForeignAtTheSameTime: the plugins of one Pod do not wait for each other, and its interfaces are in order nevertheless.
func TestForeignAtTheSameTime(t *testing.T) {
	n := newNode(t)
	n.plant("slow")
	n.define("one", fmt.Sprintf(`{"cniVersion":"1.0.0","type":"tstplug-slow","dir":%q}`, n.dir))
	s := n.pod("web", "one,one,one,one")
	began := time.Now()
	s.add()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("four plugins of 0.7 s took %v", took)
	}
	var status []networkStatus
	n.must(json.Unmarshal([]byte(n.status(t, "default/web")), &status))
	var names []string
	for _, e := range status {
		names = append(names, e.Interface)
	}
	if !slices.Equal(names, []string{"eth0", "net1", "net2", "net3", "net4"}) {
		t.Errorf("interfaces: %v", names)
	}
	s.ok("DEL")
	n.clean()
}

// TestForeignDefaultRoute: the Pod leaves by the network of a plugin of others, and still reaches Pods and Services by the pod network.
func TestForeignDefaultRoute(t *testing.T) {
	n := newNode(t)
	n.define("lan", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"lan","type":"bridge","bridge":"tstbr","isGateway":true,"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.77.0.0/24"}]]}}`, n.dir+"/leases"))
	n.binaries("lan")
	s := n.pod("web", `[{"name":"lan","default-route":["10.77.0.1"]}]`)
	s.add()
	c, err := link.Dial(s.ns)
	n.must(err)
	defer c.Close()
	links, err := c.Links()
	n.must(err)
	routes, err := c.Routes()
	n.must(err)
	by := map[string]string{}
	for _, r := range routes {
		for _, l := range links {
			if l.Index == r.Index && r.Dst.Addr().Is4() && r.InMain() {
				by[r.Dst.String()] += l.Name + ";"
			}
		}
	}
	if by["0.0.0.0/0"] != "net1;" || by["10.96.0.0/12"] != "eth0;" || by["10.244.0.0/16"] != "eth0;" {
		t.Errorf("routes: %v", by)
	}
	var status []networkStatus
	n.must(json.Unmarshal([]byte(n.status(t, "default/web")), &status))
	if !slices.Equal(status[1].Gateway, []string{"10.77.0.1"}) {
		t.Errorf("gateways in network-status: %+v", status)
	}
	s.ok("DEL")
	n.clean()
}

// binaries has the plugins of a definition executed also when they are built in.
func (n *node) binaries(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.definitions["default/"+name]
	d.Binaries = true
	n.definitions["default/"+name] = d
}
