package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/lab/plan"
)

func testState(t *testing.T, o Options) (state, plan.Plan) {
	t.Helper()
	o.Dir = t.TempDir()
	o, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(o.Name, o.Family)
	if err != nil {
		t.Fatal(err)
	}
	s := state{Options: o, Programs: "/programs", CoreDNS: "/dns", Port: 40000}
	for i := range o.Nodes {
		n, err := s.newNode(p, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		n.ControlPlane = i < o.ControlPlanes
		s.Nodes = append(s.Nodes, n)
	}
	return s, p
}

func TestOptionsThatCannotBe(t *testing.T) {
	for want, o := range map[string]Options{
		"control planes": {Nodes: 1, ControlPlanes: 2},
		"want 1 to":      {Nodes: 1000},
		"lab name":       {Name: "no-hyphen"},
		"kube-proxy":     {Proxy: "iptables"},
		"IP family":      {Family: "ipx"},
		"CNI":            {CNI: "flannel"},
		"comma":          {Dir: "/a,b"},
		"an IP address":  {VIP: "vip"},
		"no node can":    {VIP: "172.30.0.11"},
	} {
		if _, err := o.complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, have %v", want, err)
		}
	}
}

func TestRootIsTheNearest(t *testing.T) {
	top := t.TempDir()
	deep := filepath.Join(top, "repo", "lab", "cluster")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		if got, err := Root(deep); err != nil || got != want {
			t.Errorf("want %s, have %s (%v)", want, got, err)
		}
	}
	check(deep)
	// A nested module is not the repository.
	os.WriteFile(filepath.Join(top, "repo", "lab", "go.mod"), []byte("module github.com/tsunagu-net/tsunagu/lab\n"), 0o644)
	check(deep)
	os.WriteFile(filepath.Join(top, "repo", "go.mod"), []byte(module+"\ngo 1.26\n"), 0o644)
	check(filepath.Join(top, "repo"))
	os.MkdirAll(filepath.Join(deep, ".lab"), 0o755)
	check(deep)
}

func TestWhereNodesFindTheAPI(t *testing.T) {
	one, _ := testState(t, Options{Nodes: 2})
	three, _ := testState(t, Options{Nodes: 4, ControlPlanes: 3})
	six, _ := testState(t, Options{Nodes: 2, Family: plan.IPv6})
	vip, _ := testState(t, Options{Nodes: 2, Endpoint: "172.30.0.100:6443"})
	kept, _ := testState(t, Options{Nodes: 4, ControlPlanes: 3, VIP: "auto"})
	for _, tc := range []struct {
		s        state
		node     int
		want     string
		forwards int
	}{
		{one, 0, "https://172.30.0.11:6443", 0},
		{one, 1, "https://172.30.0.11:6443", 0},
		{three, 1, "https://172.30.0.12:6443", 0},
		{three, 3, "https://127.0.0.1:7445", 3},
		{six, 1, "https://[fd00:30::11]:6443", 0},
		{vip, 1, "https://172.30.0.100:6443", 0},
		{kept, 1, "https://172.30.0.250:6443", 0},
		{kept, 3, "https://127.0.0.1:7443", 0},
	} {
		if got := server(tc.s, tc.s.Nodes[tc.node]); got != tc.want {
			t.Errorf("node%d of %d: want %s, have %s", tc.node+1, len(tc.s.Nodes), tc.want, got)
		}
		n := 0
		for _, f := range forwards(tc.s, tc.s.Nodes[tc.node]) {
			n += len(f.Targets)
		}
		if n != tc.forwards {
			t.Errorf("%s: want %d targets behind it, have %d", tc.want, tc.forwards, n)
		}
	}
}

func TestComponentsOfANode(t *testing.T) {
	s, p := testState(t, Options{Nodes: 2})
	var names []string
	for _, c := range append(controlPlane(s, p, s.Nodes[0]), nodeComponents(s, s.Nodes[0])...) {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy" {
		t.Errorf("components of a control plane: %s", got)
	}
	s.Options.Proxy = ProxyNone
	for _, c := range nodeComponents(s, s.Nodes[1]) {
		if c.Name == "kube-proxy" {
			t.Error("kube-proxy runs although nobody asked for it")
		}
	}
}

func TestFamiliesReachEveryOption(t *testing.T) {
	for family, want := range map[plan.Family][]string{
		plan.Dual: {"--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112", "--cluster-cidr=10.244.0.0/16,fd00:10:244::/56", "--node-cidr-mask-size-ipv6=64"},
		plan.IPv4: {"--service-cluster-ip-range=10.96.0.0/16", "--node-cidr-mask-size=24"},
		plan.IPv6: {"--service-cluster-ip-range=fd00:10:96::/112", "--node-cidr-mask-size=64", "--bind-address=::", "--initial-cluster=node1=https://[fd00:30::11]:2380"},
	} {
		s, p := testState(t, Options{Nodes: 1, Family: family})
		var all []string
		for _, c := range controlPlane(s, p, s.Nodes[0]) {
			all = append(all, c.Argv...)
		}
		for _, w := range want {
			if !slices.Contains(all, w) {
				t.Errorf("%s: no program has %s", family, w)
			}
		}
		for _, doc := range dnsObjects(p) {
			if strings.Contains(doc, "$") {
				t.Errorf("%s: a placeholder is left in\n%s", family, doc)
			}
		}
		if len(dnsObjects(p)) != len(corednsPaths) {
			t.Errorf("coredns.yaml has %d objects, %d paths are known", len(dnsObjects(p)), len(corednsPaths))
		}
	}
}

func TestJoining(t *testing.T) {
	s, p := testState(t, Options{Nodes: 3})
	ip := netip.MustParseAddr
	n, err := s.newNode(p, "", nil)
	if err != nil || n.Name != "node4" || fmt.Sprint(n.IPs()) != "[172.30.0.14 fd00:30::14]" {
		t.Errorf("next node: %+v, %v", n, err)
	}
	n, err = s.newNode(p, "edge", []netip.Addr{ip("172.30.0.77")})
	if err != nil || fmt.Sprint(n.IPs()) != "[172.30.0.77 fd00:30::14]" {
		t.Errorf("node with an address of its own: %+v, %v", n, err)
	}
	// node2 left and comes back: its number is free, so its address is its own.
	s.Nodes = slices.Delete(s.Nodes, 1, 2)
	if n, err = s.newNode(p, "node2", nil); err != nil || n.Index != 2 {
		t.Errorf("node2 again: %+v, %v", n, err)
	}
	for want, a := range map[string][]netip.Addr{
		"is not in the nodes' subnet": {ip("10.0.0.1")},
		"belongs to node1":            {ip("172.30.0.11")},
	} {
		if _, err := s.newNode(p, "x", a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
	for _, name := range []string{"node1", "outside", "switch", "a-b"} {
		if _, err := s.newNode(p, name, nil); err == nil {
			t.Errorf("a node may be called %s", name)
		}
	}
}

func TestBridgeMasqueradesAllButPods(t *testing.T) {
	conf := bridgeConf([]netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:10:244:1::/64")})
	text := fmt.Sprint(conf)
	for _, want := range []string{"10.244.1.0/24", "fd00:10:244:1::/64", "0.0.0.0/0", "::/0"} {
		if !strings.Contains(text, want) {
			t.Errorf("the CNI configuration lacks %s: %s", want, text)
		}
	}
}
