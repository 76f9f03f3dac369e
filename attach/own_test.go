package attach

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/primary"
	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// ownNode is a node whose own network stays: Debian's bridge and host-local, and a fake plugin behind them.
func ownNode(t *testing.T) *node {
	n := newMachine(t)
	n.plant("next", "sick")
	dir := n.dir + "/etc"
	n.must(os.MkdirAll(dir, 0o755))
	n.must(os.WriteFile(dir+"/00-tsunagu.conflist", []byte(`{"name":"tsunagu","cniVersion":"1.0.0","plugins":[{"type":"tsunagu-cni"}]}`), 0o600))
	n.must(os.WriteFile(dir+"/10-own.conflist", fmt.Appendf(nil, `{"cniVersion":"0.4.0","cniVersions":["0.4.0","1.0.0"],"name":"own","plugins":[
		{"type":"bridge","bridge":"tstown","isDefaultGateway":true,"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.88.0.0/24"}]]}},
		{"type":"tstplug-next","dir":%q,"capabilities":{"portMappings":true}}]}`, n.dir+"/leases", n.dir), 0o600))
	n.own = primary.Follow(dir, nil, slog.New(slog.DiscardHandler))
	n.boot()
	t.Cleanup(func() { n.stop() })
	return n
}

// defaultBy names the interface of the Pod's default route of IPv4, and of a prefix.
func (s *sandbox) routeBy(prefix string) string {
	s.Helper()
	c, err := link.Dial(s.ns)
	s.must(err)
	defer c.Close()
	links, err := c.Links()
	s.must(err)
	routes, err := c.Routes()
	s.must(err)
	var by []string
	for _, r := range routes {
		for _, l := range links {
			if l.Index == r.Index && r.InMain() && r.Dst.String() == prefix {
				by = append(by, l.Name)
			}
		}
	}
	return strings.Join(by, ",")
}

func TestOwnNetworkStays(t *testing.T) {
	n := ownNode(t)
	n.define("blue", blue)
	s := n.pod("web", "blue")
	s.runtime = `{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}`
	result := s.add()
	if len(result.IPs) != 1 || !strings.HasPrefix(result.IPs[0].Address, "10.88.0.") || result.IPs[0].Gateway != "10.88.0.1" {
		t.Errorf("the runtime is told %+v", result)
	}
	have := s.interfaces()
	if len(have["eth0"]) != 1 || len(have["net1"]) != 2 || s.routeBy("0.0.0.0/0") != "eth0" {
		t.Errorf("interfaces %v, default route by %s", have, s.routeBy("0.0.0.0/0"))
	}
	var status []networkStatus
	n.must(json.Unmarshal([]byte(n.status(t, "default/web")), &status))
	if len(status) != 2 || status[0].Name != "own" || !status[0].Default || !slices.Equal(status[0].Gateway, []string{"10.88.0.1"}) || status[1].Name != "default/blue" {
		t.Errorf("network-status: %+v", status)
	}
	s.ok("CHECK")
	s.ok("DEL")
	n.sandbox(s.pod).ok("DEL") // of a Pod from before tsunagu
	verbs, inputs := n.calls("next")
	if !slices.Equal(verbs, []string{"ADD eth0", "CHECK eth0", "DEL eth0", "DEL eth0"}) || inputs[0]["cniVersion"] != "1.0.0" || !strings.Contains(fmt.Sprint(inputs[0]["runtimeConfig"]), "8080") {
		t.Errorf("the chained plugin: %v %v", verbs, inputs[0])
	}
	if left, _ := filepath.Glob(n.dir + "/leases/own/10.*"); len(left) > 0 {
		t.Errorf("host-local holds %v", left)
	}
	n.clean()
}

// TestDefaultRouteMovesFromOwnNetwork: Pods and Services stay reachable by eth0.
func TestDefaultRouteMovesFromOwnNetwork(t *testing.T) {
	n := ownNode(t)
	n.define("blue", blue)
	n.define("lan", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"lan","type":"bridge","bridge":"tstbr","isGateway":true,"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.77.0.0/24"}]]}}`, n.dir+"/leases"))
	n.binaries("lan")
	for _, network := range []string{`[{"name":"blue","default-route":["192.168.10.1"]}]`, `[{"name":"lan","default-route":["10.77.0.1"]}]`} {
		s := n.pod("web", network)
		s.add()
		if s.routeBy("0.0.0.0/0") != "net1" || s.routeBy("10.96.0.0/12") != "eth0" || s.routeBy("10.244.0.0/16") != "eth0" {
			t.Errorf("%s: default by %q, Services by %q", network, s.routeBy("0.0.0.0/0"), s.routeBy("10.96.0.0/12"))
		}
		s.ok("DEL")
	}
	n.clean()
}

// TestOwnNetworkComesAndGoes: without it nothing is attached, and STATUS says why; one that is sick says so itself.
func TestOwnNetworkComesAndGoes(t *testing.T) {
	n := ownNode(t)
	s := n.pod("web", "")
	s.version = "1.1.0"
	s.ok("STATUS")
	own := n.own.(*primary.Follower)
	n.must(os.Rename(n.dir+"/etc/10-own.conflist", n.dir+"/etc/kept"))
	own.Look()
	for _, verb := range []string{"STATUS", "ADD"} {
		if e := s.call(verb).failure(t); !strings.Contains(e.Msg, "the node's own network is to stay, and none in") {
			t.Errorf("%s: %+v", verb, e)
		}
	}
	n.must(os.WriteFile(n.dir+"/etc/20-sick.conf", []byte(`{"cniVersion":"1.1.0","name":"sick","type":"tstplug-sick"}`), 0o600))
	own.Look()
	if e := s.call("STATUS").failure(t); e.Code != 50 || !strings.Contains(e.Msg, "the fabric is down") {
		t.Errorf("STATUS: %+v", e)
	}
}

// TestGCIsPassedOn: a plugin learns which of its interfaces there are.
func TestGCIsPassedOn(t *testing.T) {
	n := newNode(t)
	n.plant("next")
	n.define("lan", fmt.Sprintf(`{"cniVersion":"1.1.0","name":"lan","type":"tstplug-next","dir":%q}`, n.dir))
	stays, goes := n.pod("stays", "lan"), n.pod("goes", "lan")
	stays.add()
	goes.add()
	config := fmt.Sprintf(`{"cniVersion":"1.1.0","name":"tsunagu","type":"tsunagu-cni","socket":%q,"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"eth0"}]}`, n.socket(), stays.id)
	if r := callShim(t, map[string]string{"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, config); r.code != 0 {
		t.Fatalf("GC: %s", r.output)
	}
	verbs, inputs := n.calls("next")
	if !slices.Equal(verbs, []string{"ADD net1", "ADD net1", "DEL net1", "GC"}) {
		t.Fatalf("called: %v", verbs)
	}
	var told struct {
		Valid []delegate.Attachment `json:"cni.dev/valid-attachments"`
	}
	raw, _ := json.Marshal(inputs[3])
	n.must(json.Unmarshal(raw, &told))
	if !slices.Equal(told.Valid, []delegate.Attachment{{ContainerID: stays.id, IfName: "net1"}}) {
		t.Errorf("told %+v", told)
	}
}

// TestDefinitionFromDisk: a definition without a configuration is one of the node's files, and a refusal says where it was looked for.
func TestDefinitionFromDisk(t *testing.T) {
	n := newNode(t)
	n.define("disk", "")
	e := n.pod("early", "disk").call("ADD").failure(t)
	if !strings.Contains(e.Msg, `no file of this node is named "disk": there is no folder `+n.dir+"/net.d") {
		t.Errorf("%+v", e)
	}
	n.must(os.MkdirAll(n.dir+"/net.d", 0o755))
	n.must(os.WriteFile(n.dir+"/net.d/10-broken.conf", []byte("{"), 0o600))
	n.must(os.WriteFile(n.dir+"/net.d/20-other.conf", []byte(`{"name":"other","type":"ptp"}`), 0o600))
	e = n.pod("early2", "disk").call("ADD").failure(t)
	if !strings.Contains(e.Msg, "10-broken.conf (is no CNI configuration") || !strings.Contains(e.Msg, `20-other.conf ("other")`) {
		t.Errorf("%+v", e)
	}
	for _, file := range []string{"30.conf", "30.json", "30.conflist"} {
		text := `{"name":"disk","type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"172.16.1.0/24"}}`
		if file == "30.conflist" {
			text = `{"name":"disk","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"172.16.1.0/24"}}]}`
		}
		n.must(os.WriteFile(n.dir+"/net.d/"+file, []byte(text), 0o600))
		s := n.pod("web", "disk")
		s.add()
		if have := s.interfaces()["net1"]; len(have) != 1 || !strings.HasPrefix(have[0], "172.16.1.") {
			t.Errorf("%s: net1 has %v", file, have)
		}
		s.ok("DEL")
		n.must(os.Remove(n.dir + "/net.d/" + file))
	}
	n.clean()
}

// TestDefaultNetworkOfPod: the annotation replaces eth0's network, and only that.
func TestDefaultNetworkOfPod(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	s := n.pod("web", "")
	n.mu.Lock()
	p := n.pods["default/web"]
	p.DefaultNetwork = "default/blue"
	n.pods["default/web"] = p
	n.mu.Unlock()
	s.add()
	have := s.interfaces()
	if len(have) != 1 || !slices.ContainsFunc(have["eth0"], func(a string) bool { return strings.HasPrefix(a, "192.168.10.") }) || s.routeBy("0.0.0.0/0") != "eth0" {
		t.Errorf("interfaces: %v", have)
	}
	var status []networkStatus
	n.must(json.Unmarshal([]byte(n.status(t, "default/web")), &status))
	if len(status) != 1 || status[0].Name != "default/blue" || !status[0].Default {
		t.Errorf("network-status: %+v", status)
	}
	s.ok("DEL")
	n.clean()
}
