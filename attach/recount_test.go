package attach

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

const countedConfig = `{"name":"red","type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/29"}}`

// count defines network red with a mark.
func (n *node) count(mark Count, config string) Network {
	n.Helper()
	d := Definition{Namespace: "default", Name: "red", Count: mark, Config: config}
	n.mu.Lock()
	n.definitions["default/red"] = d
	n.mu.Unlock()
	if config == "" {
		return Network{}
	}
	net, err := ParseDefinition(d)
	n.must(err)
	return net
}

// other is the allocator of another node of the cluster.
func (n *node) other() *ipam.Allocator {
	n.Helper()
	a, err := ipam.New(ipam.Options{Node: "other", NodeUID: "other-uid", Store: n.store.As("other"), Log: (&iptest.Disk{}).Boot(), Logger: slog.New(slog.DiscardHandler)})
	n.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	n.Cleanup(func() { cancel(); <-done })
	return a
}

// rest takes all that a network still has for another node.
func rest(t *testing.T, a *ipam.Allocator, net Network) (all []string) {
	t.Helper()
	for i := range 8 {
		owner := ipam.Owner{Key: ipam.Key{ContainerID: string(rune('a' + i)), IfName: "net1"}, Namespace: "default", Pod: "other", Network: net.Ref}
		got, err := a.Take(t.Context(), owner, []ipam.Want{{Pool: net.IPAM.Pools[0][0]}})
		if err != nil {
			slices.Sort(all)
			return all
		}
		all = append(all, got[0].Address.Addr().String())
	}
	return all
}

// Where addresses are counted follows what the definition says, and else whether nodes may share the segment.
func TestWhereHostLocalCounts(t *testing.T) {
	const section = `"ipam":{"type":"host-local","subnet":"10.9.0.0/29"}`
	for _, c := range []struct {
		config string
		mark   Count
		onDisk bool
		node   bool
	}{
		{config: countedConfig},
		{config: countedConfig, mark: CountNode, node: true},
		{config: countedConfig, onDisk: true, node: true},
		{config: countedConfig, onDisk: true, mark: CountCluster},
		{config: `{"type":"bridge",` + section + `}`, node: true},
		{config: `{"type":"bridge",` + section + `}`, mark: CountCluster},
		{config: `{"type":"bridge","uplink":"up1",` + section + `}`},
		{config: `{"type":"ptp",` + section + `}`, node: true},
	} {
		net, err := ParseDefinition(Definition{Namespace: "default", Name: "red", Config: c.config, Count: c.mark, OnDisk: c.onDisk})
		if err != nil {
			t.Fatal(err)
		}
		if p := net.IPAM.Pools[0][0]; net.IPAM.NodeOnly != c.node || p.Local != c.node {
			t.Errorf("%+v: node only %v, pool %+v", c, net.IPAM.NodeOnly, p)
		}
	}
}

// A Pod that got its address while each node counted for itself keeps it when all nodes begin to count together: no node gives it again,
// it is counted back when the definition says so, and nothing is left when the Pod goes.
func TestCountingElsewhere(t *testing.T) {
	n := newNode(t)
	n.count(CountNode, countedConfig)
	a := n.pod("a", "red")
	a.add()
	if diff := cmp.Diff([]string{"10.9.0.2/29"}, a.interfaces()["net1"]); diff != "" {
		t.Fatal(diff)
	}
	net := n.count("", countedConfig)
	n.must(n.server.Sweep(t.Context()))
	other := n.other()
	if diff := cmp.Diff([]string{"10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6"}, rest(t, other, net)); diff != "" {
		t.Errorf("another node gives: %s", diff)
	}
	if held := n.allocator.Held(); len(held) == 0 || len(held[len(held)-1].Grants)+len(held[0].Grants) != 3 {
		t.Errorf("the node holds %+v, want the Pod's address once, beside the two of the pod network", held)
	}
	n.count(CountNode, countedConfig)
	n.must(n.server.Sweep(t.Context()))
	n.count("", countedConfig)
	a.ok("DEL")
	n.must(n.server.Sweep(t.Context()))
	n.clean()
	if _, _, all := n.store.Objects(); slices.ContainsFunc(all, func(o ipam.Address) bool { return o.Node == "node" }) {
		t.Errorf("objects are left: %+v", all)
	}
}

// The next Pod on the node comes before the sweep does.
func TestCountingElsewhereAtOnce(t *testing.T) {
	n := newNode(t)
	n.must(os.MkdirAll(n.dir+"/net.d", 0o755))
	n.must(os.WriteFile(n.dir+"/net.d/red.conf", []byte(countedConfig), 0o600))
	n.count("", "") // as in the field report: from the node's file first
	a := n.pod("a", "red")
	a.add()
	n.count("", countedConfig)
	b := n.pod("b", "red")
	b.add()
	if x, y := a.interfaces()["net1"], b.interfaces()["net1"]; cmp.Equal(x, y) {
		t.Errorf("both have %s", x)
	}
	a.ok("DEL")
	b.ok("DEL")
	n.clean()
}

// Two Pods that have one address already are told so, once, and it is counted when one of them goes.
func TestCountedTwice(t *testing.T) {
	n := newNode(t)
	n.count(CountNode, countedConfig)
	a := n.pod("a", "red")
	a.add()
	net := n.count("", countedConfig)
	other := n.other()
	key := ipam.Key{ContainerID: "x", IfName: "net1"}
	_, err := other.Take(t.Context(), ipam.Owner{Key: key, Namespace: "default", Pod: "twin", Network: net.Ref},
		[]ipam.Want{{Pool: net.IPAM.Pools[0][0], Static: netip.MustParseAddr("10.9.0.2")}})
	n.must(err)
	for range 2 {
		n.must(n.server.Sweep(t.Context()))
	}
	n.told(t, "Warning default/a AddressCountedTwice", "default/red", "10.9.0.2", "default/twin", "delete this Pod or the other one")
	n.mu.Lock()
	told := len(n.events)
	n.mu.Unlock()
	n.must(n.server.Sweep(t.Context()))
	n.mu.Lock()
	if len(n.events) != told {
		t.Errorf("told again: %q", n.events[told:])
	}
	n.mu.Unlock()
	n.must(other.Free(t.Context(), key))
	for range 100 {
		if _, _, left := n.store.Objects(); len(left) == 0 {
			break
		}
		n.must(n.server.Sweep(t.Context()))
	}
	n.must(n.server.Sweep(t.Context()))
	if all := rest(t, other, net); len(all) != 4 {
		t.Errorf("another node gives %v", all)
	}
	a.ok("DEL")
	n.clean()
}
