//go:build vm

package kind

import (
	"context"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Where the kernel has both, both do the same.
func TestVMVLANsOfTrunk(t *testing.T) {
	eachDatapath(t, []Datapath{EBPF, SubInterface}, testVLANs)
}

// Each node chooses for itself: a VLAN is one segment whatever carries it where.
func TestVMNodesOfTwoDatapaths(t *testing.T) {
	f := newFabric(t)
	a, b := f.nodes[0].vlanPod(120, `,"datapath":"ebpf"`), f.nodes[1].vlanPod(120, `,"datapath":"bridge"`)
	a.goes("to a bridge", b.ns, b.v4, b.v6)
	b.goes("to the switch", a.ns, a.v4, a.v6)
}

func TestVMTrunkRefusals(t *testing.T) { TestTrunkRefusals(t) }

// The node's own VLAN is not taken from it.
func TestVMNodesOwnVLAN(t *testing.T) {
	f := newFabric(t)
	n := f.nodes[0]
	eth1, err := n.conn.ByName("eth1")
	n.must(err)
	n.must(n.conn.Apply(link.NewVLAN(link.End{Name: "mgmt"}, eth1.Index, 120)))
	pod := n.pod()
	a := n.attach(pod, "net1", n.spec("trunk", `{"trunk":"eth1","vlan":120,"datapath":"bridge"}`))
	_, err = n.wirer.Wire(context.Background(), pod.Path(), []Attachment{a})
	if err == nil || !strings.Contains(err.Error(), "the node's mgmt; datapath ebpf works beside it") {
		t.Errorf("wired: %v", err)
	}
	if left := n.links(n.node); strings.Join(left, " ") != "eth1 mgmt" {
		t.Errorf("left behind: %v", left)
	}
	f.outsideOf(n.vlanPod(120, ""))
}

// Somebody deletes what a VLAN stands on.
func TestVMSubInterfaceComesBack(t *testing.T) {
	f := newFabric(t)
	n := f.nodes[0]
	p := n.vlanPod(120, `,"datapath":"bridge"`)
	f.outsideOf(p)
	for _, name := range []string{"tsuv-eth1.120", "tsub-eth1.120"} {
		n.must(n.conn.Apply(link.Delete(name)))
		if _, err := n.wirer.Mend(context.Background(), p.wired); err != nil {
			t.Fatal(err)
		}
		f.outsideOf(p)
	}
}
