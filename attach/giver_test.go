package attach

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/reference"
)

// lend puts a binary on the node under a name that nothing is built in for.
func (n *node) lend(binary, name string) {
	n.Helper()
	n.must(os.MkdirAll(n.dir+"/bin", 0o755))
	n.must(os.Symlink(filepath.Join(reference.Debian, binary), filepath.Join(n.dir, "bin", name)))
}

// script puts an ipam plugin on the node that does for ADD what the text says, and writes down every verb.
func (n *node) script(name, add string) {
	n.Helper()
	n.must(os.MkdirAll(n.dir+"/bin", 0o755))
	n.must(os.WriteFile(filepath.Join(n.dir, "bin", name), fmt.Appendf(nil, "#!/bin/sh\necho $CNI_COMMAND $CNI_IFNAME >> %s/%s.said\ncat > %s/%s.$CNI_COMMAND\n[ $CNI_COMMAND != ADD ] || { %s ; }\n", n.dir, name, n.dir, name, add), 0o755))
}

func (n *node) said(name string) string {
	n.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, name+".said"))
	n.must(err)
	return strings.Join(strings.Split(strings.TrimSpace(string(text)), "\n"), "; ")
}

// Debian's host-local, under a name of its own, gives addresses to interfaces that are made here, and has them back when they are gone.
func TestAddressesOfAnIPAMPlugin(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0"} {
		t.Run(version, func(t *testing.T) {
			n := newNode(t)
			n.lend("host-local", "their-ipam")
			n.define("lan", fmt.Sprintf(`{"cniVersion":%q,"name":"lan","type":"macvlan","master":"up1","ipam":{"type":"their-ipam","dataDir":%q,
				"ranges":[[{"subnet":"10.77.0.0/24"}],[{"subnet":"fd00:77::/64"}]],"routes":[{"dst":"172.20.0.0/16"},{"dst":"172.21.0.0/16","gw":"10.77.0.3"}]}}`, version, n.dir+"/leases"))
			a, b := n.pod("a", "lan,lan"), n.pod("b", `[{"name":"lan","ips":["10.77.0.9/24"],"default-route":[]}]`)
			a.add()
			b.add()
			var all []string
			for _, i := range []string{"net1", "net2"} {
				all = append(all, a.interfaces()[i]...)
			}
			slices.Sort(all)
			if got := strings.Join(all, " "); got != "10.77.0.2/24 10.77.0.3/24 fd00:77::2/64 fd00:77::3/64" {
				t.Errorf("a has %s", got)
			}
			if have := b.interfaces()["net1"]; !slices.Contains(have, "10.77.0.9/24") {
				t.Errorf("b has %v", have)
			}
			if by := b.routeBy("0.0.0.0/0"); by != "net1" {
				t.Errorf("b leaves by %s", by)
			}
			if by := b.routeBy("172.20.0.0/16"); by != "net1" {
				t.Errorf("the route of the plugin is on %q", by)
			}
			a.ok("CHECK")
			b.ok("CHECK")
			n.stop()
			n.boot() // the agent was started again
			delete(n.definitions, "default/lan")
			for _, s := range []*sandbox{a, b} {
				s.ok("CHECK")
				s.ok("DEL")
				s.ok("DEL")
			}
			left, _ := filepath.Glob(n.dir + "/leases/lan/*.*.*")
			left = slices.DeleteFunc(left, func(f string) bool { return strings.Contains(f, "last_reserved_ip") })
			if len(left) > 0 {
				t.Errorf("the plugin still holds %v", left)
			}
			n.clean()
		})
	}
}

// Debian's static, with what is not an address: DNS, and a gateway.
func TestDNSOfAnIPAMPlugin(t *testing.T) {
	n := newNode(t)
	n.lend("static", "fixed-ipam")
	n.define("lan", `{"cniVersion":"1.0.0","name":"lan","type":"bridge","bridge":"tstbr","ipam":{"type":"fixed-ipam","addresses":[{"address":"10.77.0.5/24","gateway":"10.77.0.1"}],"dns":{"nameservers":["10.77.0.53"]}}}`)
	s := n.pod("web", "lan")
	s.add()
	if have := s.interfaces()["net1"]; !slices.Equal(have, []string{"10.77.0.5/24"}) {
		t.Errorf("net1 has %v", have)
	}
	if status := n.status(t, "default/web"); !strings.Contains(status, "10.77.0.53") {
		t.Errorf("status is %s", status)
	}
	s.ok("CHECK")
	s.ok("DEL")
	n.clean()
}

// An ipam plugin that does wrong is named with its words, and nothing is left; it is told that the address is not used.
func TestIPAMPluginsThatDoWrong(t *testing.T) {
	for name, c := range map[string]struct{ add, reason, says string }{
		"hangs":         {"echo waiting for the master >&2; sleep 60", "PluginTimeout", "not done after 4s, killed; it said: waiting for the master"},
		"nonsense":      {"echo hello", "BadPluginResult", `it is not a JSON object; it printed "hello"`},
		"nothing":       {"true", "BadPluginResult", "it printed nothing"},
		"no address":    {`echo '{"cniVersion":"1.0.0","ips":[]}'`, "BadPluginResult", "it gave no address"},
		"no prefix":     {`echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5"}]}'`, "BadPluginResult", "10.77.0.5"},
		"loopback":      {`echo '{"cniVersion":"1.0.0","ips":[{"address":"127.0.0.1/8"}]}'`, "BadPluginResult", "127.0.0.1/8 cannot be the address of an interface"},
		"everything":    {`echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5/0"}]}'`, "BadPluginResult", "10.77.0.5/0 cannot be"},
		"twice":         {`echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5/24"},{"address":"10.77.0.5/25"}]}'`, "BadPluginResult", "10.77.0.5 is there twice"},
		"wrong gateway": {`echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5/24","gateway":"fd00::1"}]}'`, "BadPluginResult", "fd00::1 cannot be the gateway"},
		"wrong route":   {`echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5/24"}],"routes":[{"dst":"fd00::/64"}]}'`, "BadPluginResult", "there is no address of that family"},
		"wrong version": {`echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.77.0.5/24"}}'`, "BadPluginResult", `it is of cniVersion "0.2.0"`},
		"refuses":       {`echo '{"code":101,"msg":"the fabric has no address left"}'; exit 1`, "PluginFailed", "plugin their-ipam, ADD: the fabric has no address left (CNI error 101)"},
		"crashes":       {`kill -SEGV $$`, "PluginFailed", "signal"},
		"other address": {`echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5/24"}]}'`, "UnsupportedField", "address 10.77.0.9 is asked for, and ipam plugin their-ipam gave 10.77.0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.script("their-ipam", c.add)
			n.define("lan", `{"cniVersion":"1.0.0","name":"lan","type":"macvlan","master":"up1","ipam":{"type":"their-ipam"}}`)
			s := n.pod("web", `[{"name":"lan","ips":["10.77.0.9"]}]`)
			if name != "other address" {
				s.pod.Networks = "lan"
				n.mu.Lock()
				n.pods[s.pod.String()] = s.pod
				n.mu.Unlock()
			}
			e := s.call("ADD").failure(t)
			if !strings.Contains(e.Msg, c.says) || !strings.HasPrefix(e.Details, c.reason) || !strings.Contains(e.Msg, "default/lan") {
				t.Errorf("%+v", e)
			}
			n.told(t, "Warning", "default/web", c.reason)
			if have := s.interfaces(); len(have) > 0 {
				t.Errorf("left in the Pod: %v", have)
			}
			if said := n.said("their-ipam"); said != "ADD net1; DEL net1" {
				t.Errorf("it was called: %s", said)
			}
			s.ok("DEL")
			n.clean()
		})
	}
}

const gives = `echo '{"cniVersion":"1.1.0","ips":[{"address":"10.77.0.5/24"}]}'`

// Every verb reaches the plugin, with the main plugin's configuration; STATUS when it is the network of all Pods.
func TestVerbsOfAnIPAMPlugin(t *testing.T) {
	n := newNode(t)
	n.script("their-ipam", gives)
	n.define("lan", `{"cniVersion":"1.1.0","name":"lan","type":"macvlan","master":"up1","capabilities":{"ips":true},"ipam":{"type":"their-ipam","zone":"blue"}}`)
	s := n.pod("web", `[{"name":"lan","ips":["10.77.0.5"],"cni-args":{"tenant":"red"}}]`)
	s.add()
	s.ok("CHECK")
	gone := n.pod("gone", "lan")
	gone.ok("DEL") // nobody knows it
	n.server.planner.clusterNetwork = "default/lan"
	s.version = "1.1.0"
	s.ok("STATUS")
	s.gc("")
	if said := n.said("their-ipam"); said != "ADD net1; CHECK net1; STATUS; DEL net1" {
		t.Errorf("it was called: %s", said)
	}
	for verb, words := range map[string][]string{
		"ADD":    {`"type":"macvlan"`, `"zone":"blue"`, `"ips":["10.77.0.5"]`, `"tenant":"red"`, `"name":"lan"`, `"cniVersion":"1.1.0"`},
		"CHECK":  {`"prevResult"`, `"10.77.0.5/24"`},
		"DEL":    {`"prevResult"`, `"10.77.0.5/24"`},
		"STATUS": {`"zone":"blue"`},
	} {
		text, err := os.ReadFile(n.dir + "/their-ipam." + verb)
		n.must(err)
		for _, w := range words {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s: no %s in %s", verb, w, text)
			}
		}
	}
	n.clean()
}

// GC tells the plugin which interfaces there are.
func TestGCOfAnIPAMPlugin(t *testing.T) {
	n := newNode(t)
	n.script("their-ipam", gives)
	n.define("lan", `{"cniVersion":"1.1.0","name":"lan","type":"macvlan","master":"up1","ipam":{"type":"their-ipam"}}`)
	s := n.pod("web", "lan")
	s.add()
	config := fmt.Sprintf(`{"cniVersion":"1.1.0","name":"tsunagu","type":"tsunagu-cni","socket":%q,"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"eth0"}]}`, n.socket(), s.id)
	if r := callShim(t, map[string]string{"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, config); r.code != 0 {
		t.Fatalf("GC: %s", r.output)
	}
	text, err := os.ReadFile(n.dir + "/their-ipam.GC")
	n.must(err)
	if want := fmt.Sprintf(`"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"net1"}]`, s.id); !strings.Contains(string(text), want) {
		t.Errorf("no %s in %s", want, text)
	}
	s.ok("DEL")
	n.clean()
}

// What cannot be wired gives its address back; a plugin that is not there is named with where it was looked for.
func TestIPAMPluginGetsItsAddressBack(t *testing.T) {
	n := newNode(t)
	n.script("their-ipam", gives)
	n.define("lan", `{"cniVersion":"1.1.0","name":"lan","type":"macvlan","master":"up9","ipam":{"type":"their-ipam"}}`)
	n.define("lost", `{"cniVersion":"1.1.0","name":"lost","type":"macvlan","master":"up1","ipam":{"type":"host-locl"}}`)
	s := n.pod("web", "lan")
	if e := s.call("ADD").failure(t); !strings.Contains(e.Msg, `no interface "up9"`) {
		t.Errorf("%+v", e)
	}
	if said := n.said("their-ipam"); said != "ADD net1; DEL net1" {
		t.Errorf("it was called: %s", said)
	}
	lost := n.pod("lost", "lost")
	if e := lost.call("ADD").failure(t); !strings.Contains(e.Msg, `plugin "host-locl" is neither built in nor on this node`) || !strings.Contains(e.Details+e.Msg, "host-local") {
		t.Errorf("%+v", e)
	}
	n.clean()
}
