package legacy

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/ipam"
)

func pod(name, node string, on ...Interface) Pod {
	return Pod{Namespace: "demo", Name: name, UID: "uid-" + name, Node: node, Interfaces: on}
}

func on(name, network string, addresses ...string) Interface {
	i := Interface{Name: name, Network: network}
	for _, a := range addresses {
		i.Addresses = append(i.Addresses, netip.MustParseAddr(a))
	}
	return i
}

func said(steps []Step) map[string]string {
	all := map[string]string{}
	for _, s := range steps {
		all[s.Domain+" "+s.Address.String()] = fmt.Sprintf("%s %s", s.Verb, strings.Join(s.Owners, ","))
	}
	return all
}

func worldOf(w Whereabouts, pods ...Pod) World {
	return World{Pods: pods, Nodes: map[string]string{"n1": "uid-n1", "n2": "uid-n2"}, Definitions: w.Definitions}
}

func usual(t *testing.T) (Whereabouts, World) {
	raw, err := os.ReadFile("testdata/usual.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := parse(t, string(raw))
	silent := pod("lost-by-the-pool", "n2")
	silent.Unsaid = true
	ended := pod("old-version", "n1", on("net3", "demo/lan", "192.168.2.8"))
	ended.Finished = true
	return w, worldOf(w,
		pod("web-0", "n1", on("net1", "demo/lan", "192.168.2.5", "fd00:10::1"), on("net2", "demo/storage", "192.168.2.5")),
		pod("web-1", "n2", on("net1", "demo/lan", "192.168.2.6", "fd00:10::1:0")),
		pod("nine", "n2", on("net1", "demo/lan", "192.168.2.9")),
		pod("unrecorded", "n1", on("net1", "demo/lan", "192.168.2.60")),
		pod("broadcast", "n1", on("net1", "demo/lan", "192.168.2.99")),
		silent, ended,
	)
}

func TestMakeMatchesLivePods(t *testing.T) {
	w, world := usual(t)
	steps := Make(w.Read().Records, world)
	want := map[string]string{
		"default 192.168.2.5":     "import demo/web-0",
		"default 192.168.2.6":     "import demo/web-1", // the reservation's Pod is gone
		"default 192.168.2.7":     "no live pod ",
		"default 192.168.2.8":     "no live pod ",                 // it has ended
		"default 192.168.2.9":     "import demo/nine",             // named by nobody, shown by the Pod
		"default 192.168.2.44":    "import demo/lost-by-the-pool", // says nothing: may have it
		"default 192.168.2.60":    "import demo/unrecorded",
		"default 192.168.2.99":    "import demo/broadcast",
		"default 192.168.2.255":   "no live pod ", // the Pod has another now
		"default fd00:10::1":      "import demo/web-0",
		"default fd00:10::1:0":    "import demo/web-1",
		"storage-net 192.168.2.5": "import demo/web-0",
	}
	have := said(steps)
	for at, what := range want {
		if have[at] != what {
			t.Errorf("%s: have %q, want %q", at, have[at], what)
		}
	}
	if len(have) != len(want) {
		t.Errorf("have %v", have)
	}
	for _, s := range steps {
		if s.Domain == "storage-net" && (s.Bind.Owner.IfName != "net2" || s.Bind.Owner.ContainerID != "77aa" || s.Bind.NodeUID != "uid-n1" || s.Bind.Owner.UID != "uid-web-0" || s.Bind.Origin != FromWhereabouts) {
			t.Errorf("have %+v", s.Bind)
		}
	}
}

// A second import finds its own objects and changes nothing.
func TestMakeTwice(t *testing.T) {
	w, world := usual(t)
	for _, s := range Make(w.Read().Records, world) {
		if s.Verb == Bind {
			world.Bound = append(world.Bound, s.Bind)
		}
	}
	for _, s := range Make(w.Read().Records, world) {
		if s.Verb != Present && s.Verb != Gone {
			t.Errorf("%s: %s", s.Address, s.Verb)
		}
	}
}

func TestMakeDuplicatesAndConflicts(t *testing.T) {
	raw, err := os.ReadFile("testdata/overlap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := parse(t, string(raw))
	w.Definitions = []Definition{{"demo", "a", `{"ipam":{"type":"whereabouts","range":"10.0.0.0/16"}}`}}
	world := worldOf(w, pod("one", "n1", on("net1", "demo/a", "10.0.1.1")), pod("three", "n2", on("net1", "demo/a", "10.0.1.1")),
		pod("two", "n1", on("net1", "demo/a", "10.0.1.2")), pod("nine", "n1", on("net1", "demo/a", "10.0.1.9")))
	nine := netip.MustParseAddr("10.0.1.9")
	world.Bound = []ipam.Address{{Domain: "default", Address: nine, Owner: ipam.Owner{Namespace: "demo", Pod: "stranger"}}}
	steps := Make(w.Read().Records, world)
	have := said(steps)
	for at, what := range map[string]string{
		"default 10.0.1.1": "duplicate demo/one,demo/three", "default 10.0.1.2": "import demo/two", "default 10.0.1.9": "conflict demo/nine",
	} {
		if have[at] != what {
			t.Errorf("%s: have %q, want %q", at, have[at], what)
		}
	}
	if got := steps[0].Bind.Reserved; got != "imported duplicate: in use by demo/one and demo/three" || steps[0].Bind.Owner.Pod != "" {
		t.Errorf("a duplicate is kept from everybody: %+v", steps[0].Bind)
	}
	// One of the two is gone: it is imported for the other.
	world.Bound = append(world.Bound, steps[0].Bind)
	world.Pods = world.Pods[1:]
	if s := Make(w.Read().Records, world)[0]; s.Verb != Replace || s.Bind.Owner.Pod != "three" {
		t.Errorf("have %+v", s)
	}
}

// The same address on two nodes is what host-local does on a shared segment.
func TestMakeHostLocalOnTwoNodes(t *testing.T) {
	records := []Record{
		{Origin: FromHostLocal, Domain: "lan", Address: netip.MustParseAddr("10.1.0.2"), ContainerID: "a", IfName: "net1", Node: "n1"},
		{Origin: FromHostLocal, Domain: "lan", Address: netip.MustParseAddr("10.1.0.2"), ContainerID: "b", IfName: "net1", Node: "n2"},
		{Origin: FromHostLocal, Domain: "lan", Address: netip.MustParseAddr("10.1.0.3"), ContainerID: "c", IfName: "net1", Node: "n2"},
		{Origin: FromHostLocal, Domain: "lan", Address: netip.MustParseAddr("10.1.0.4"), ContainerID: "d", IfName: "net1", Node: "n2"},
	}
	definitions := []Definition{{"demo", "nad", `{"name":"lan","ipam":{"type":"host-local"}}`}}
	have := said(Make(records, World{Definitions: definitions, Nodes: map[string]string{"n1": "1", "n2": "2"}, Pods: []Pod{
		pod("a", "n1", on("net1", "demo/nad", "10.1.0.2")), pod("b", "n2", on("net1", "demo/nad", "10.1.0.2")),
		pod("c", "n2", on("net1", "demo/nad", "10.1.0.3")),
	}}))
	want := map[string]string{"lan 10.1.0.2": "duplicate demo/a,demo/b", "lan 10.1.0.3": "import demo/c", "lan 10.1.0.4": "no live pod "}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("have %v, want %v", have, want)
	}
}

// What tsunagu gave out itself is not imported from network-status.
func TestMakeLeavesItsOwnAlone(t *testing.T) {
	definitions := []Definition{{"demo", "lan", `{"ipam":{"type":"whereabouts","range":"10.1.0.0/24"}}`}}
	world := World{Definitions: definitions, Nodes: map[string]string{"n1": "1"}, Pods: []Pod{
		pod("own", "n1", on("net1", "demo/lan", "10.1.0.65")), pod("hole", "n1", on("net1", "demo/lan", "10.1.0.66")), pod("lost", "n1", on("net1", "demo/lan", "10.1.0.3"))},
		Blocks: []ipam.Block{{Domain: "default", Prefix: netip.MustParsePrefix("10.1.0.64/28"), Node: "n1", Holes: 4}}}
	have := said(Make(nil, world))
	want := map[string]string{"default 10.1.0.3": "import demo/lost", "default 10.1.0.66": "import demo/hole"}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("have %v, want %v", have, want)
	}
}
