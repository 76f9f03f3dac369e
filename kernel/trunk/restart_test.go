package trunk_test

import (
	"net/netip"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/trunk"
)

func linkAddress(p *pod, prefix string) link.Op {
	return link.AddAddress("net1", p.net1.Index, netip.MustParsePrefix(prefix), link.AddressOptions{})
}

func addressOf(n *node, prefix netip.Prefix) link.Op {
	return link.AddAddress("eth1", n.trunk.Index, prefix, link.AddressOptions{})
}

// The switch works on while no process has it open, and the next one takes it
// over, with what it has counted.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	n1, n2 := w.node(), w.node()
	a, b, c := n1.pod(120), n1.pod(120), n2.pod(120)
	evil := w.raw(a.ns, a.net1.Index)
	evil.send(everybody, everybody, 0x88b5)
	w.must(n1.sw.Close())
	a.reaches(b)
	c.reaches(a)
	n1.open()
	if got := len(n1.sw.Ports()); got != 2 {
		t.Errorf("%d ports taken over, want 2", got)
	}
	if got := a.dropped(trunk.ForeignMAC); got != 1 {
		t.Errorf("%d dropped frames known after the restart, want 1", got)
	}
	a.reaches(c)
	d := n1.pod(120)
	d.reaches(a)
	d.reaches(c)
	w.must(n1.sw.Remove(b.port.Index))
	a.cannotReach(b)
	a.reaches(d)
}

// A trunk is left as it was found.
func TestTrunkIsGivenBack(t *testing.T) {
	n := newWorld(t).node()
	promisc := func() bool {
		l, err := n.conn.ByName("eth1")
		n.must(err)
		return l.Promisc
	}
	a, b := n.pod(120), n.pod(121)
	if !promisc() {
		t.Error("the trunk hears its own MAC only")
	}
	n.must(n.sw.Remove(a.port.Index))
	if !promisc() {
		t.Error("the trunk was given back with a Pod on it")
	}
	n.must(n.sw.Close())
	n.open()
	n.must(n.conn.Apply(link.Delete("tsup2")))
	n.must(n.sw.Prune())
	n.must(n.sw.Remove(b.port.Index))
	if promisc() || len(n.sw.Ports()) != 0 {
		t.Errorf("promiscuous %v, ports %v with no Pod", promisc(), n.sw.Ports())
	}
	yes := true
	n.must(n.conn.Apply(link.Set(link.Change{Device: "eth1", Index: n.trunk.Index, Promisc: &yes})))
	c := n.pod(120)
	n.must(n.sw.Remove(c.port.Index))
	if !promisc() {
		t.Error("somebody else's setting was taken back")
	}
}

// Put mends what somebody removed.
func TestPutMends(t *testing.T) {
	w := newWorld(t)
	n1, n2 := w.node(), w.node()
	a, b := n1.pod(120), n2.pod(120)
	no := false
	w.must(n1.conn.Apply(link.Set(link.Change{Device: "eth1", Index: n1.trunk.Index, Promisc: &no})))
	strip(t, n1.ns, "eth1", n1.trunk.Index)
	strip(t, n1.ns, "tsup1", a.port.Index)
	b.cannotReach(a)
	w.must(n1.sw.Put(a.port))
	b.reaches(a)
	l, err := n1.conn.ByName("eth1")
	w.must(err)
	if !l.Promisc {
		t.Error("the trunk hears its own MAC only")
	}
	a.port.VLAN = 121
	w.must(n1.sw.Put(a.port))
	b.cannotReach(a)
	b.port.VLAN = 121
	w.must(n2.sw.Put(b.port))
	b.reaches(a)
}
