package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// fabric is two nodes whose eth1 are trunk ports of a switch, and a machine outside in each of VLAN 120 and 121.
type fabric struct {
	*world
	nodes   [2]*trunkNode
	outside map[int]*netns.Namespace
	ovs     *vswitch
	wire    *netns.Namespace
}

// trunkNode is one of the nodes, with the methods of a world on it.
type trunkNode struct {
	*world
	number int
}

// hostOf is the address of the machine outside.
func hostOf(vlan int) (v4, v6 string) {
	return fmt.Sprintf("10.%d.0.254", vlan), fmt.Sprintf("fd00:%d::fe", vlan)
}

func newFabric(t testing.TB) *fabric {
	t.Helper()
	f := &fabric{outside: map[int]*netns.Namespace{}}
	f.world = &world{TB: t, name: fmt.Sprintf("tst-vlan-%d-%d", os.Getpid(), worlds.Add(1))}
	f.wire = f.namespace("wire")
	f.ovs = newVSwitch(t, f.wire)
	wire := f.dial(f.wire)
	for i := range f.nodes {
		n := &trunkNode{number: i + 1, world: &world{TB: t, name: fmt.Sprintf("%s-n%d", f.name, i+1)}}
		f.nodes[i] = n
		n.node = n.namespace("node")
		n.conn = n.dial(n.node)
		port := fmt.Sprintf("trunk%d", i+1)
		f.must(wire.Apply(link.NewVeth(link.End{Name: port, MTU: 9100}, link.End{Name: "eth1", MTU: 9100, NS: n.node})))
		eth1, err := n.conn.ByName("eth1")
		f.must(err)
		f.must(n.conn.Apply(link.Up("lo", 1), link.Up("eth1", eth1.Index)))
		f.ovs.port(port)
		n.start()
		t.Cleanup(func() { n.must(n.wirer.Close()) })
	}
	for _, vlan := range []int{120, 121} {
		ns := f.namespace(fmt.Sprintf("out%d", vlan))
		f.outside[vlan] = ns
		port := fmt.Sprintf("access%d", vlan)
		f.must(wire.Apply(link.NewVeth(link.End{Name: port, MTU: 9100}, link.End{Name: "eth0", MTU: 9100, NS: ns})))
		f.ovs.port(port, fmt.Sprintf("tag=%d", vlan))
		c := f.dial(ns)
		eth0, err := c.ByName("eth0")
		f.must(err)
		v4, v6 := hostOf(vlan)
		f.must(c.Apply(link.Up("lo", 1), link.Up("eth0", eth0.Index),
			link.AddAddress("eth0", eth0.Index, netip.PrefixFrom(netip.MustParseAddr(v4), 16), link.AddressOptions{}),
			link.AddAddress("eth0", eth0.Index, netip.PrefixFrom(netip.MustParseAddr(v6), 64), link.AddressOptions{})))
		plainFrames(t, ns, "eth0")
	}
	return f
}

// start begins an agent's life on the node.
func (n *trunkNode) start() {
	n.Helper()
	var err error
	n.wirer, err = New(n.node.Path(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	n.must(err)
}

// vlanPod is a Pod with net1 on a VLAN.
type vlanPod struct {
	*trunkNode
	ns     *netns.Namespace
	vlan   int
	v4, v6 string
	wired  []Wired
}

func (n *trunkNode) vlanPod(vlan int, more string) *vlanPod {
	n.Helper()
	p := &vlanPod{trunkNode: n, ns: n.pod(), vlan: vlan}
	p.v4, p.v6 = fmt.Sprintf("10.%d.%d.%d", vlan, n.number, n.pods), fmt.Sprintf("fd00:%d::%d:%d", vlan, n.number, n.pods)
	p.wired = n.wire(p.ns, p.attachment(more))
	plainFrames(n, p.ns, "net1")
	return p
}

func (p *vlanPod) attachment(more string) Attachment {
	p.Helper()
	spec := p.spec("trunk", fmt.Sprintf(`{"trunk":"eth1","vlan":%d%s}`, p.vlan, more))
	return p.attach(p.ns, "net1", spec, p.v4+"/16", p.v6+"/64")
}

func (p *vlanPod) goes(what string, to *netns.Namespace, v4, v6 string) {
	p.Helper()
	for _, ip := range []string{v4, v6} {
		if _, err := exchange(p.ns, to, ip); err != nil {
			p.Errorf("%s: %s does not reach %s: %v", what, p.v4, ip, err)
		}
	}
}

// reaches tells that the Pod reaches the machine outside of its VLAN, and not the other's.
func (f *fabric) outsideOf(p *vlanPod) {
	f.Helper()
	v4, v6 := hostOf(p.vlan)
	p.goes("outside", f.outside[p.vlan], v4, v6)
}

func eachDatapath(t *testing.T, datapaths []Datapath, do func(t *testing.T, more string)) {
	for _, d := range datapaths {
		t.Run(string(d), func(t *testing.T) { do(t, fmt.Sprintf(`,"datapath":"%s"`, d)) })
	}
}

// testVLANs is what a VLAN does, whatever carries it.
func testVLANs(t *testing.T, more string) {
	f := newFabric(t)
	n1, n2 := f.nodes[0], f.nodes[1]
	a, b, c := n1.vlanPod(120, more), n1.vlanPod(120, more), n2.vlanPod(120, more)
	x := n1.vlanPod(121, more)
	for _, p := range []*vlanPod{a, b, c, x} {
		f.outsideOf(p)
	}
	a.goes("same node", b.ns, b.v4, b.v6)
	a.goes("other node", c.ns, c.v4, c.v6)
	// The other VLAN is another segment: its addresses are not answered for, even from the same subnet.
	xc := x.dial(x.ns)
	l, err := xc.ByName("net1")
	x.must(err)
	x.must(xc.Apply(link.AddAddress("net1", l.Index, netip.MustParsePrefix(b.v4+"/16"), link.AddressOptions{})))
	if _, err := exchange(x.ns, a.ns, a.v4); err == nil {
		t.Error("VLAN 121 reaches VLAN 120")
	}
	n1.must(n1.wirer.Check(context.Background(), a.ns.Path(), a.wired))

	f.dropsOf(a)

	// A new agent finds everything as it was, and gives back what the last Pod leaves.
	n1.must(n1.wirer.Close())
	f.outsideOf(a)
	n1.start()
	f.outsideOf(a)
	_, err = n1.wirer.Mend(context.Background(), []Record{a.wired[0], b.wired[0], x.wired[0]})
	n1.must(err)
	f.outsideOf(a)
	d := n1.vlanPod(120, more)
	d.goes("new Pod", a.ns, a.v4, a.v6)
	for _, p := range []*vlanPod{a, b, d, x} {
		n1.unwire(p.ns, p.wired)
	}
	if left := n1.links(n1.node); strings.Join(left, " ") != "eth1" {
		t.Errorf("the last Pod has gone and the node has %v", left)
	}
	eth1, err := n1.conn.ByName("eth1")
	n1.must(err)
	if eth1.Promisc {
		t.Errorf("the trunk is still promiscuous: %v", n1.wirer.vlans.Ports())
	}
}

// dropsOf lets a Pod hop to the other VLAN and take another's address, and finds both counted and nothing arrived.
func (f *fabric) dropsOf(p *vlanPod) {
	f.Helper()
	c := p.dial(p.ns)
	net1, err := c.ByName("net1")
	f.must(err)
	eth0, err := f.dial(f.outside[121]).ByName("eth0")
	f.must(err)
	listener := listen(f, f.outside[121], eth0.Index)
	everybody := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	hop := slices.Concat(everybody, net1.MAC, []byte{0x81, 0, 0, 121, 0x88, 0xb5}, []byte("hop to 121"), make([]byte, 40))
	spoof := slices.Concat(everybody, []byte{2, 9, 9, 9, 9, 9, 0x88, 0xb5}, []byte("spoofed"), make([]byte, 40))
	send(f, p.ns, net1.Index, hop)
	send(f, p.ns, net1.Index, spoof)
	all, err := p.wirer.VLANDrops()
	f.must(err)
	have := map[string]uint64{}
	for _, d := range all {
		if d.Port == p.wired[0].HostIf && d.Trunk == "eth1" && d.VLAN == p.vlan {
			have[d.Reason] = d.Frames
		}
	}
	if have["tagged"] != 1 || have["foreign-mac"] != 1 {
		f.Errorf("counted %v, want one tagged and one of a foreign MAC", have)
	}
	if heard := hear(f, listener, 50*time.Millisecond); slices.ContainsFunc(heard, func(b []byte) bool {
		return bytes.Contains(b, []byte("hop to 121")) || bytes.Contains(b, []byte("spoofed"))
	}) {
		f.Error("a dropped frame arrived in VLAN 121")
	}
}

func TestVLANsOfTrunk(t *testing.T) { eachDatapath(t, []Datapath{EBPF}, testVLANs) }

func TestTrunkRefusals(t *testing.T) {
	f := newFabric(t)
	n := f.nodes[0]
	bond := n.namespace("elsewhere")
	n.must(n.conn.Apply(link.NewBridge(link.End{Name: "br7"})))
	br7, err := n.conn.ByName("br7")
	n.must(err)
	n.must(n.conn.Apply(link.NewVeth(link.End{Name: "eth2", Master: br7.Index}, link.End{Name: "far", NS: bond})))
	n.vlanPod(120, "")
	for config, want := range map[string]struct{ reason, text string }{
		`{"trunk":"eth11","vlan":120}`:                    {"NoUplink", `no interface "eth11"; interfaces here: eth1`},
		`{"trunk":"lo","vlan":120}`:                       {"DeviceBusy", "loopback"},
		`{"trunk":"eth2","vlan":120}`:                     {"DeviceBusy", "belongs to br7 (a bridge)"},
		`{"trunk":"eth1","vlan":120,"mtu":9200}`:          {"InvalidConfig", "9200 is more than the 9100 of trunk eth1"},
		`{"trunk":"eth1","vlan":120,"datapath":"bridge"}`: {"Conflict", "carries VLAN 120 by datapath ebpf for other Pods"},
	} {
		pod := n.pod()
		_, err := n.wirer.Wire(context.Background(), pod.Path(), []Attachment{n.attach(pod, "net1", n.spec("trunk", config))})
		var refusal Refusal
		if !errors.As(err, &refusal) || refusal.Reason() != want.reason || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v, want %s: %s", config, err, want.reason, want.text)
		}
	}
	// Two Pods with one MAC on a VLAN are refused; what was made for the second is gone.
	pod := n.pod()
	twin := n.attach(pod, "net1", n.spec("trunk", `{"trunk":"eth1","vlan":120}`))
	twin.MAC, err = ParseMAC("0a:58:0a:78:01:01")
	n.must(err)
	before := n.links(n.node)
	if _, err := n.wirer.Wire(context.Background(), pod.Path(), []Attachment{twin}); err == nil || !strings.Contains(err.Error(), "another Pod of this node on the same VLAN") {
		t.Errorf("a second Pod with the MAC: %v", err)
	}
	if after := n.links(n.node); len(after) != len(before) || len(n.links(pod)) != 0 {
		t.Errorf("left behind: %v, in the Pod %v", after, n.links(pod))
	}
}
