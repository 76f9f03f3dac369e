package attach

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// define makes a definition in namespace default.
func (n *node) define(name, config string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.definitions["default/"+name] = Definition{Namespace: "default", Name: name, Config: config}
}

// blue is a macvlan network with addresses of both families.
const blue = `{"type":"macvlan","master":"up1","ipam":{"type":"whereabouts","ipRanges":[{"range":"192.168.10.0/24","range_start":"192.168.10.10","range_end":"192.168.10.200"},{"range":"fd00:10::/64"}],"gateway":"192.168.10.1"}}`

func TestADDAttachesToAllNetworks(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	n.define("hub", `{"cniVersion":"0.3.1","name":"other","plugins":[{"type":"bridge","bridge":"tsthub","ipam":{"type":"static","addresses":[{"address":"10.9.0.5/24"}]}},{"type":"tuning","mtu":1400,"capabilities":{"mac":true}}]}`)
	s := n.pod("web", "blue, blue@data, hub")
	r := s.add()
	if r.CNIVersion != "1.0.0" || len(r.Interfaces) != 2 || r.Interfaces[1].Name != "eth0" || r.Interfaces[1].Sandbox != s.ns.Path() ||
		!strings.HasPrefix(r.Interfaces[0].Name, "tsu") || len(r.IPs) != 2 || r.IPs[0].Interface != 1 {
		t.Errorf("result: %+v", r)
	}
	want := map[string][]string{
		"eth0": {"10.244.1.2/32", "fd00:244:0:1::2/128"},
		"net1": {"192.168.10.10/24", "fd00:10::1/64"},
		"data": {"192.168.10.11/24", "fd00:10::2/64"},
		"net3": {"10.9.0.5/24"},
	}
	if diff := cmp.Diff(want, s.interfaces()); diff != "" {
		t.Error(diff)
	}
	s.ok("CHECK")

	var status []struct {
		Name, Interface, MAC string
		IPs, Gateway         []string
		MTU                  int
		Default              bool
		DNS                  map[string]any
	}
	text := n.status(t, "default/web")
	n.must(json.Unmarshal([]byte(text), &status))
	if len(status) != 4 || status[0].Name != "tsunagu" || status[0].Interface != "eth0" || !status[0].Default || status[0].DNS == nil ||
		status[1].Name != "default/blue" || status[1].Default || status[1].Interface != "net1" || status[2].Interface != "data" ||
		status[3].Name != "default/hub" || status[3].MTU != 1400 {
		t.Error(text)
	}
	if diff := cmp.Diff([]string{"192.168.10.10", "fd00:10::1"}, status[1].IPs); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(text, "[\n    {\n        \"name\": \"tsunagu\",\n        \"interface\": \"eth0\",\n        \"ips\": [") || !strings.Contains(text, `"dns": {}`) {
		t.Errorf("not the published form:\n%s", text)
	}
	n.told(t, "Normal", "AddedInterface", "Add net1 [192.168.10.10/24 fd00:10::1/64] from default/blue")

	s.ok("DEL")
	if left := s.interfaces(); len(left) > 0 {
		t.Errorf("left in the sandbox: %v", left)
	}
	n.clean()
	s.ok("DEL")
}

func TestResultIsOfTheConfigurationsVersion(t *testing.T) {
	n := newNode(t)
	for _, version := range shimrpc.Versions {
		s := n.pod("v"+strings.ReplaceAll(version, ".", "-"), "")
		s.version = version
		r := s.add()
		old := version < "1.0.0"
		if r.CNIVersion != version || len(r.IPs) != 2 || (r.IPs[0].Version == "4") != old {
			t.Errorf("%s: %+v", version, r)
		}
		s.ok("DEL")
	}
	n.clean()
}

func TestAddressMACAndDefaultRoute(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	s := n.pod("web", `[{"name":"blue","ips":["192.168.10.77","fd00:10::77/64"],"mac":"02:00:5e:10:00:01","default-route":["192.168.10.1"]}]`)
	s.add()
	if diff := cmp.Diff([]string{"192.168.10.77/24", "fd00:10::77/64"}, s.interfaces()["net1"]); diff != "" {
		t.Error(diff)
	}
	record, _ := n.server.records.get(s.id)
	routes := func(i int) (all []string) {
		for _, r := range record.Interfaces[i].Routes {
			all = append(all, r.Dst.String()+" via "+r.Gateway.String())
		}
		slices.Sort(all)
		return all
	}
	if !slices.Contains(routes(1), "0.0.0.0/0 via 192.168.10.1") || record.Interfaces[1].MAC != "02:00:5e:10:00:01" {
		t.Errorf("net1: %v, %s", routes(1), record.Interfaces[1].MAC)
	}
	on0 := strings.Join(routes(0), ", ")
	if strings.Contains(on0, "0.0.0.0/0") || !strings.Contains(on0, "::/0") {
		t.Errorf("eth0 has the default routes %s, want the one of IPv6 only", on0)
	}
	if !strings.Contains(on0, "10.96.0.0/12") || !strings.Contains(on0, "10.244.0.0/16") || strings.Contains(on0, "fd00:244::/48") {
		t.Errorf("eth0 leads to %s, want Pods and Services of IPv4 beside the default route of IPv6", on0)
	}
	if text := n.status(t, "default/web"); !strings.Contains(text, `"192.168.10.1"`) {
		t.Errorf("the gateway is not in the status: %s", text)
	}
	s.ok("CHECK")

	taken := n.pod("late", `[{"name":"blue","ips":["192.168.10.77"]}]`)
	e := taken.call("ADD").failure(t)
	if !strings.Contains(e.Msg, "192.168.10.77") || !strings.Contains(e.Msg, "default/web") {
		t.Errorf("got %+v", e)
	}
	n.told(t, "Warning default/late AddressTaken", "192.168.10.77", "default/web")
	s.ok("DEL")
	taken.add()
	taken.ok("DEL")
	n.clean()
}

func TestRefusals(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	n.define("broken", "{\n  \"type\": \"macvlan\",\n  \"master\" \"up1\"\n}")
	n.define("cut", `{"type":"macvlan"`)
	n.define("empty", " ")
	n.define("list", `[]`)
	n.define("notype", `{"name":"x"}`)
	n.define("foreign", `{"type":"calico"}`)
	n.define("chain", `{"plugins":[{"type":"macvlan","master":"up1"},{"type":"nosuch"}]}`)
	n.define("nothing", `{"plugins":[]}`)
	n.define("nouplink", `{"type":"macvlan","master":"up9","ipam":{"type":"static","addresses":[{"address":"10.9.0.5/24"}]}}`)
	n.define("private", `{"type":"pod"}`)
	n.define("lo", `{"type":"loopback"}`)
	n.define("local", `{"type":"macvlan","master":"up1","ipam":{"type":"calico-ipam"}}`)
	n.define("pooled", `{"type":"macvlan","master":"up1","ipam":{"type":"tsunagu","pools":["blu"]}}`)
	n.define("tiny", `{"type":"macvlan","master":"up1","ipam":{"type":"whereabouts","range":"192.168.77.0/30"}}`)
	n.define("flat", `{"type":"macvlan","master":"up1"}`)
	n.mu.Lock()
	n.definitions["other/made"] = Definition{Namespace: "other", Name: "made", Network: "made", Config: blue}
	n.definitions["other/hand"] = Definition{Namespace: "other", Name: "hand", Config: blue}
	n.definitions["default/vf"] = Definition{Namespace: "default", Name: "vf", Resource: "example.com/vf", Config: blue}
	n.mu.Unlock()
	n.add2("tiny")
	for i, c := range []struct {
		networks, reason string
		code             int
		says             []string
	}{
		{"bleu", ReasonUnknownNetwork, 7, []string{"cannot find a network-attachment-definition (bleu) in namespace (default)", "near", "blue"}},
		{"hand", ReasonUnknownNetwork, 7, []string{"other/hand"}},
		{"made", ReasonUnknownNetwork, 7, []string{"Network made", "spec.namespaces"}},
		{"other/made", ReasonNamespaceRefused, 7, []string{"made"}},
		{"broken", ReasonBadConfig, 7, []string{"default/broken", "line 3, column 12"}},
		{"cut", ReasonBadConfig, 7, []string{"line 1, column 18", "ends too early"}},
		{"empty", ReasonEmptyConfig, 7, []string{"spec.config"}},
		{"list", ReasonBadConfig, 7, []string{"default/list"}},
		{"notype", ReasonBadConfig, 7, []string{`"type"`}},
		{"foreign", ReasonUnknownPlugin, 7, []string{`"calico"`}},
		{"chain", ReasonUnknownPlugin, 7, []string{`"nosuch"`, "neither built in nor on this node"}},
		{"nothing", ReasonBadConfig, 7, []string{"plugins"}},
		{"nouplink", "NoUplink", 7, []string{"network default/nouplink (net1)", "up9", "up1"}},
		{"private", ReasonUnknownPlugin, 7, []string{`"pod"`}},
		{"lo", ReasonBadConfig, 7, []string{"default/lo", "must be lo"}},
		{"local", "UnknownAddressType", 7, []string{"calico-ipam", "whereabouts"}},
		{"pooled", ReasonUnknownPool, 7, []string{"blu"}},
		{"tiny", "PoolFull", 11, []string{"192.168.77.0/30"}},
		{"vf", ReasonNoDevice, 7, []string{"example.com/vf", "the Pod has 0"}},
		{`[{"name":"blue","ips":["10.1.1.1"]}]`, "AddressOutOfRange", 7, []string{"10.1.1.1"}},
		{`[{"name":"blue","ips":["192.168.10.5"]}]`, "AddressOutOfRange", 7, []string{"192.168.10.5", "192.168.10.10"}},
		{`[{"name":"blue","ips":["192.168.10.50/16"]}]`, ReasonBadAddress, 7, []string{"/16", "192.168.10.0/24"}},
		{`[{"name":"flat","ips":["10.1.1.1"]}]`, "AddressOutOfRange", 7, []string{"10.1.1.1"}},
		{`[{"name":"blue","default-route":["10.1.1.1"]}]`, ReasonBadDefaultRoute, 7, []string{"10.1.1.1", "192.168.10."}},
		{`[{"name":"flat","default-route":[]}]`, ReasonBadDefaultRoute, 7, []string{"gateway"}},
		{`[{"name":"blue"`, ReasonBadSelection, 7, []string{"line 1"}},
		{`[{"name":"blue","bandwidth":{"ingressRate":1}}]`, ReasonUnsupportedField, 7, []string{"bandwidth"}},
		{"blue,bleu", ReasonUnknownNetwork, 7, []string{"bleu"}},
		{"blue,nouplink", "NoUplink", 7, nil},
	} {
		s := n.pod(fmt.Sprintf("pod%d", i), c.networks)
		began := time.Now()
		e := s.call("ADD").failure(t)
		if e.Code != c.code || !strings.HasPrefix(e.Details, c.reason) {
			t.Errorf("%s: code %d, details %q, msg %q; want %s", c.networks, e.Code, e.Details, e.Msg, c.reason)
		}
		event := n.told(t, "Warning "+s.pod.String()+" "+c.reason)
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: refused after %v", c.networks, took)
		}
		for _, word := range c.says {
			if !strings.Contains(event, word) {
				t.Errorf("%s: event %q does not say %q", c.networks, event, word)
			}
		}
		if !strings.Contains(event, "To fix: ") || strings.Contains(event, s.id) {
			t.Errorf("%s: event %q has no fix, or names the sandbox, so that it would not be counted", c.networks, event)
		}
		if left := s.interfaces(); len(left) > 0 {
			t.Errorf("%s: left in the sandbox: %v", c.networks, left)
		}
		if _, ok := n.server.records.get(s.id); ok && !slices.Contains([]State{Gone}, n.state(s.id)) {
			t.Errorf("%s: a record is left", c.networks)
		}
	}
}

func (n *node) state(id string) State { r, _ := n.server.records.get(id); return r.State }

// add2 uses a network of two addresses up.
func (n *node) add2(network string) {
	n.Helper()
	n.pod("filler1", network).add()
	n.pod("filler2", network).add()
}

func TestNamespaceIsolation(t *testing.T) {
	n := newNode(t)
	n.mu.Lock()
	n.definitions["other/hand"] = Definition{Namespace: "other", Name: "hand", Config: blue}
	n.definitions["shared/hand"] = Definition{Namespace: "shared", Name: "hand", Config: blue}
	n.mu.Unlock()
	free := n.pod("free", "other/hand")
	free.add()
	free.ok("DEL")
	n.server.planner.namespaces = Namespaces{Isolation: true, Global: []string{"shared"}}
	e := n.pod("shut", "other/hand").call("ADD").failure(t)
	if !strings.Contains(e.Msg, "namespace isolation enabled, annotation violates permission, pod is in namespace default but refers to target namespace other") {
		t.Error(e)
	}
	shared := n.pod("shared", "shared/hand")
	shared.add()
	shared.ok("DEL")
	n.clean()
}

// The verbs and error codes of the CNI specification 1.1.0.
func TestSpecification(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	set := func(k, v string) func(map[string]string) { return func(e map[string]string) { e[k] = v } }
	for _, c := range []struct {
		name   string
		verb   string
		env    func(map[string]string)
		config string
		code   int
		says   string
	}{
		{name: "no container", verb: "ADD", env: set("CNI_CONTAINERID", ""), code: 4, says: "CNI_CONTAINERID"},
		{name: "no interface", verb: "ADD", env: set("CNI_IFNAME", ""), code: 4, says: "CNI_IFNAME"},
		{name: "no namespace", verb: "ADD", env: set("CNI_NETNS", ""), code: 4, says: "CNI_NETNS"},
		{name: "no namespace to check", verb: "CHECK", env: set("CNI_NETNS", ""), code: 4, says: "CNI_NETNS"},
		{name: "bad container", verb: "DEL", env: set("CNI_CONTAINERID", "a/b"), code: 4},
		{name: "bad interface", verb: "ADD", env: set("CNI_IFNAME", "a b"), code: 4},
		{name: "bad arguments", verb: "ADD", env: set("CNI_ARGS", "K8S_POD_NAME"), code: 4, says: "CNI_ARGS"},
		{name: "no Pod", verb: "ADD", env: set("CNI_ARGS", ""), code: 4, says: "K8S_POD_NAME"},
		{name: "unknown verb", verb: "UPDATE", env: func(map[string]string) {}, code: 4, says: "UPDATE"},
		{name: "no configuration", verb: "ADD", config: " ", code: 6},
		{name: "broken configuration", verb: "ADD", config: `{"cniVersion":"1.0.0","name":`, code: 6},
		{name: "half a configuration", verb: "ADD", config: `{"cniVersion":"1.0.0","socket":"` + n.socket() + `","name":1}`, code: 6},
		{name: "unknown version", verb: "ADD", config: `{"cniVersion":"0.2.0","name":"x","type":"tsunagu-cni"}`, code: 1, says: "0.2.0"},
		{name: "no name", verb: "ADD", config: `{"cniVersion":"1.0.0","type":"tsunagu-cni","socket":"` + n.socket() + `"}`, code: 7, says: "name"},
		{name: "GC without a list", verb: "GC", code: 7, says: "valid-attachments"},
		{name: "CHECK of nobody", verb: "CHECK", code: 3},
		{name: "unknown Pod", verb: "ADD", env: set("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=nobody;K8S_POD_UID=x"), code: 11, says: "nobody"},
		{name: "a Pod of the same name", verb: "ADD", env: set("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=x"), code: 11},
		{name: "gone namespace", verb: "ADD", env: set("CNI_NETNS", "/run/netns/tst-nothing"), code: 7, says: "tst-nothing"},
		{name: "bad port", verb: "ADD", config: `{"cniVersion":"1.0.0","name":"x","socket":"` + n.socket() + `","runtimeConfig":{"portMappings":[{"hostPort":70000,"containerPort":1}]}}`, code: 7, says: "70000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, config := s.env(c.verb), c.config
			if c.env != nil {
				c.env(env)
			}
			if config == "" {
				config = s.config()
			}
			e := callShim(t, env, config).failure(t)
			if e.Code != c.code || !strings.Contains(e.Msg, c.says) || e.CNIVersion == "" {
				t.Errorf("got %+v, want code %d with %q", e, c.code, c.says)
			}
		})
	}
	r := callShim(t, map[string]string{"CNI_COMMAND": "VERSION"}, `{"cniVersion":"1.1.0","socket":"/nowhere"}`)
	if r.code != 0 || r.output != `{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}`+"\n" {
		t.Errorf("VERSION: %+v", r)
	}
	if r := callShim(t, map[string]string{"CNI_COMMAND": "STATUS", "CNI_PATH": "/x"}, s.config()); r.code != 0 || r.output != "" {
		t.Errorf("STATUS: %+v", r)
	}
	n.lacks = []string{"the pod network is not set up yet"}
	if e := callShim(t, map[string]string{"CNI_COMMAND": "STATUS", "CNI_PATH": "/x"}, s.config()).failure(t); e.Code != 50 || !strings.Contains(e.Msg, "not set up yet") {
		t.Errorf("STATUS: %+v", e)
	}
	n.lacks = nil
	n.clean()
}

func TestADDTwiceAndDELTwice(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	s := n.pod("web", "blue")
	first := s.add()
	before := s.interfaces()
	if diff := cmp.Diff(first, s.add()); diff != "" {
		t.Errorf("said twice: %s", diff)
	}
	if diff := cmp.Diff(before, s.interfaces()); diff != "" {
		t.Error(diff)
	}
	s.ok("DEL")
	s.ok("DEL")
	n.clean()
	s.add() // the specification allows it after a DEL
	env := s.env("DEL")
	env["CNI_NETNS"] = ""
	if r := callShim(t, env, s.config()); r.code != 0 {
		t.Errorf("DEL without a namespace: %+v", r)
	}
	n.clean()
	if left := s.interfaces(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// An ADD that was overtaken by its DEL must not come back to life.
func TestDELOvertakesADD(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	q := shimrpc.Request{Command: "ADD", ContainerID: s.id, NetNS: s.ns.Path(), IfName: "eth0", Args: s.env("ADD")["CNI_ARGS"],
		Config: []byte(s.config()), Started: 1000}
	late := q
	s.ok("DEL") // started now, which is later
	if r := n.server.Call(t.Context(), late); !r.Failed || !strings.Contains(string(r.Output), "deleted") {
		t.Errorf("got %s", r.Output)
	}
	n.clean()

	// One that is under way is called off.
	n.hold = make(chan struct{})
	done := make(chan reply)
	go func() { done <- s.call("ADD") }()
	<-n.asked
	began := time.Now()
	s.ok("DEL")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("DEL waited %v for the ADD", took)
	}
	if r := <-done; r.code == 0 {
		t.Errorf("the ADD went on: %s", r.output)
	}
	n.hold = nil
	n.clean()
}

func TestShimThatIsKilledIsUndone(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	n.hold = make(chan struct{})
	cmd := s.start("ADD")
	<-n.asked
	n.must(cmd.Process.Kill())
	_ = cmd.Wait()
	release, err := n.server.sandboxes.take(t.Context(), s.id)
	n.must(err)
	release()
	n.hold = nil
	n.clean()
	if left := s.interfaces(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAgentAway(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	s.add()
	n.stop()
	config := strings.Replace(s.config(), `"retrySeconds":3`, `"retrySeconds":0.2`, 1)
	e := callShim(t, s.env("DEL"), config).failure(t)
	if e.Code != 11 || !strings.Contains(e.Msg, "tsunagu-agent is not running") || !strings.Contains(e.Details, "tsunagu-system") {
		t.Errorf("DEL: %+v", e)
	}
	if e := callShim(t, map[string]string{"CNI_COMMAND": "STATUS", "CNI_PATH": "/x"}, config).failure(t); e.Code != 50 {
		t.Errorf("STATUS: %+v", e)
	}
	done := make(chan reply)
	go func() { done <- s.call("DEL") }()
	time.Sleep(100 * time.Millisecond)
	n.boot()
	if r := <-done; r.code != 0 {
		t.Errorf("DEL while the agent restarts: %+v", r)
	}
	n.clean()
}

func TestHostPorts(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	s.runtime = `{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"},{"containerPort":81}]}`
	s.add()
	if p := n.ports.has[s.id]; len(p.Mappings) != 1 || len(p.Addresses) != 2 || p.HostIf == "" || p.Name != "default/web" {
		t.Errorf("ports: %+v", p)
	}
	other := n.pod("other", "")
	other.runtime = s.runtime
	e := other.call("ADD").failure(t)
	if !strings.Contains(e.Msg, "8080") || !strings.Contains(e.Msg, "default/web") {
		t.Errorf("got %+v", e)
	}
	n.told(t, "Warning default/other HostPortTaken", "8080")
	if left := other.interfaces(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	n.stop()
	clear(n.ports.has)
	n.boot()
	if len(n.ports.has[s.id].Mappings) != 1 {
		t.Errorf("ports after a restart: %+v", n.ports.has)
	}
	s.ok("DEL")
	n.clean()
}

func TestGC(t *testing.T) {
	n := newNode(t)
	keep, drop := n.pod("keep", ""), n.pod("drop", "")
	keep.add()
	drop.add()
	config := fmt.Sprintf(`{"cniVersion":"1.1.0","name":"tsunagu","socket":%q,"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"eth0"}]}`, n.socket(), keep.id)
	if r := callShim(t, map[string]string{"CNI_COMMAND": "GC", "CNI_PATH": "/x"}, config); r.code != 0 {
		t.Fatalf("GC: %+v", r)
	}
	if len(keep.interfaces()) != 1 || len(drop.interfaces()) != 0 {
		t.Errorf("kept %v, dropped %v", keep.interfaces(), drop.interfaces())
	}
	keep.ok("CHECK")
	keep.ok("DEL")
	n.clean()
}

func TestCHECKFindsTheDifference(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	s := n.pod("web", "blue")
	s.add()
	s.ok("CHECK")
	n.must(s.ns.Do(func() error { return exec.Command("ip", "link", "del", "net1").Run() }))
	e := s.call("CHECK").failure(t)
	if !strings.Contains(e.Msg, "net1") {
		t.Errorf("got %+v", e)
	}
	s.ok("DEL")
	n.clean()
}

func TestFiftyAtOnce(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	const pods = 50
	all := make([]*sandbox, pods)
	for i := range all {
		all[i] = n.pod(fmt.Sprintf("web-%d", i), "blue,blue")
	}
	var mu sync.Mutex
	seen := map[string]string{}
	each := func(f func(*sandbox)) {
		var group sync.WaitGroup
		for _, s := range all {
			group.Go(func() { f(s) })
		}
		group.Wait()
	}
	began := time.Now()
	each(func(s *sandbox) {
		if r := s.call("ADD"); r.code != 0 {
			t.Errorf("%s: %s", s.pod, r.output)
		}
	})
	took := time.Since(began)
	for _, s := range all {
		for ifName, addresses := range s.interfaces() {
			for _, a := range addresses {
				mu.Lock()
				if other := seen[a]; other != "" {
					t.Errorf("%s has %s, and so has %s", s.pod, a, other)
				}
				seen[a] = s.pod.String() + " " + ifName
				mu.Unlock()
			}
		}
	}
	if len(seen) != 6*pods {
		t.Errorf("%d addresses, want %d", len(seen), 6*pods)
	}
	each(func(s *sandbox) {
		if r := s.call("DEL"); r.code != 0 {
			t.Errorf("%s: %s", s.pod, r.output)
		}
	})
	n.clean()
	t.Logf("%d ADDs of three interfaces at once: %v\n%s", pods, took, n.meter.report())
}

func TestShimIsSmallAndQuick(t *testing.T) {
	n := newNode(t)
	var took []time.Duration
	for range 30 {
		s := n.pod("web", "")
		r := s.call("ADD")
		if r.code != 0 {
			t.Fatal(r.output)
		}
		took = append(took, r.took)
		s.ok("DEL")
	}
	slices.Sort(took)
	t.Logf("ADD of eth0 by the shim: p50 %v\n%s", took[len(took)/2], n.meter.report())

	// While it waits for the agent it has all the memory that it ever has.
	s := n.pod("web", "")
	n.hold = make(chan struct{})
	cmd := s.start("ADD")
	<-n.asked
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	n.must(err)
	close(n.hold)
	n.must(cmd.Wait())
	for line := range strings.Lines(string(status)) {
		var most int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &most); err == nil {
			t.Logf("the shim has %d KiB resident", most)
			if most > 5<<10 {
				t.Errorf("want at most 5 MiB")
			}
		}
	}
	s.ok("DEL")
}

func TestRestart(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	s, gone := n.pod("web", "blue"), n.pod("gone", "blue")
	s.add()
	gone.add()
	n.stop()
	n.must(netns.Delete(gone.id))
	gone.ns.Close()
	n.boot()
	s.ok("CHECK")
	next := n.pod("next", "blue")
	next.add()
	for _, a := range next.interfaces()["net1"] {
		if slices.Contains(s.interfaces()["net1"], a) {
			t.Errorf("address %s is given twice", a)
		}
	}
	// A sandbox is gone when its namespace was seen gone for a while, not at the first look.
	n.must(n.server.Sweep(t.Context()))
	if n.state(gone.id) != Wired {
		t.Error("swept at the first look")
	}
	for what := range n.server.suspects {
		n.server.suspects[what] = time.Now().Add(-sure)
	}
	n.must(n.server.Sweep(t.Context()))
	if n.state(gone.id) != Gone {
		t.Error("not swept")
	}
	// A Pod that is gone from the API keeps its address as long as it has its namespace.
	n.mu.Lock()
	delete(n.pods, s.pod.String())
	n.mu.Unlock()
	for range 3 {
		for what := range n.server.suspects {
			n.server.suspects[what] = time.Now().Add(-sure)
		}
		n.must(n.server.Sweep(t.Context()))
	}
	s.ok("CHECK")
	s.ok("DEL")
	next.ok("DEL")
	n.clean()
}

func TestSweepTakesLinksWithoutARecord(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	s.add()
	for range 400 { // what is told of the Pod is written into its record, too
		if r, _ := n.server.records.get(s.id); r.Reported && r.Announced {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	n.must(n.server.records.drop(s.id)) // as nothing but a loss of the log can
	n.must(n.server.Sweep(t.Context()))
	n.mu.Lock()
	clear(n.pods)
	n.mu.Unlock()
	n.must(n.server.Sweep(t.Context()))
	for what := range n.server.suspects {
		n.server.suspects[what] = time.Now().Add(-sure)
	}
	n.must(n.server.Sweep(t.Context()))
	n.clean()
}

func TestStatusIsReportedWhenTheAPIIsBack(t *testing.T) {
	n := newNode(t)
	s := n.pod("web", "")
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	s.add() // the Pod is known, so it needs no API
	time.Sleep(10 * time.Millisecond)
	n.stop()
	n.boot()
	n.mu.Lock()
	n.down = false
	n.mu.Unlock()
	n.status(t, "default/web")
	s.ok("DEL")
	n.clean()
}

func TestSocketIsForRootOnly(t *testing.T) {
	n := newNode(t)
	info, err := os.Stat(n.socket())
	n.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}
