//go:build vm

package kind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// allKinds adds what needs modules to every Pod of the tests.
func allKinds(t *testing.T) {
	t.Helper()
	moreKinds = [][2]string{
		{"dummy", `{}`},
		{"vlan", `{"master":"up1","vlanId":$N}`},
		{"ipvlan", `{"master":"net20","linkInContainer":true}`},
		{"bridge", `{"bridge":"br-vlan","vlan":120,"vlanTrunk":[{"minID":200,"maxID":299}],"isGateway":true,"macspoofchk":true}`},
	}
	t.Cleanup(func() { moreKinds = nil })
}

func TestVMRollbackAtEveryStep(t *testing.T) { allKinds(t); TestRollbackAtEveryStep(t) }
func TestVMWireTwice(t *testing.T)           { allKinds(t); TestWireTwiceKeepsWhatIsComplete(t) }
func TestVMLeftovers(t *testing.T)           { allKinds(t); TestWireReplacesLeftovers(t) }
func TestVMNamespaceGone(t *testing.T)       { allKinds(t); TestNamespaceGone(t) }
func TestVMParallel(t *testing.T)            { allKinds(t); TestParallel(t) }
func TestVMLinkInContainer(t *testing.T)     { TestLinkInContainer(t) }

// vlanOutside gives a machine outside an interface in a VLAN.
func (w *world) vlanOutside(n *netns.Namespace, id uint16, address string) {
	w.Helper()
	c := w.dial(n)
	wire, err := c.ByName("wire")
	w.must(err)
	name := fmt.Sprintf("wire.%d", id)
	w.must(c.Apply(link.NewVLAN(link.End{Name: name}, wire.Index, id)))
	l, err := c.ByName(name)
	w.must(err)
	w.must(c.Apply(link.AddAddress(name, l.Index, netip.MustParsePrefix(address), link.AddressOptions{})))
}

func (w *world) silent(from, to *netns.Namespace, address string) {
	w.Helper()
	if _, err := exchange(from, to, address); err == nil {
		w.Errorf("%s reaches %s", from.Path(), address)
	}
}

// VLANs of a bridge leave by its uplink with their tags, and Pods reach who is in their own.
func TestVMBridgeVLANs(t *testing.T) {
	w := newWorld(t)
	w.vlanOutside(w.outside[0], 120, "10.120.0.254/24")
	w.vlanOutside(w.outside[0], 121, "10.121.0.254/24")
	spec := func(vlan string) Spec { return w.spec("bridge", `{"bridge":"br-v","uplink":"up1",`+vlan+`}`) }
	a, b, c, d := w.pod(), w.pod(), w.pod(), w.pod()
	wa := w.wire(a, w.attach(a, "net1", spec(`"vlan":120`), "10.120.0.1/24"))
	wb := w.wire(b, w.attach(b, "net1", spec(`"vlan":120`), "10.120.0.2/24"))
	wc := w.wire(c, w.attach(c, "net1", spec(`"vlan":121`), "10.120.0.3/24", "10.121.0.3/24"))
	wd := w.wire(d, w.attach(d, "net1", spec(`"vlan":121,"vlanTrunk":[{"minID":119,"maxID":120}]`), "10.121.0.4/24"))
	w.reaches(a, w.outside[0], "10.120.0.254")
	w.reaches(a, b, "10.120.0.2")
	w.reaches(c, w.outside[0], "10.121.0.254")
	w.reaches(c, d, "10.121.0.4")
	w.silent(c, a, "10.120.0.1")
	w.silent(c, w.outside[0], "10.120.0.254")
	inside := w.dial(d)
	w.must(inside.Apply(link.NewVLAN(link.End{Name: "t120"}, wd[0].IfIndex, 120)))
	tagged, err := inside.ByName("t120")
	w.must(err)
	w.must(inside.Apply(link.AddAddress("t120", tagged.Index, netip.MustParsePrefix("10.120.0.4/24"), link.AddressOptions{})))
	w.reaches(d, w.outside[0], "10.120.0.254")

	// VLANs of a port that somebody changes are noticed and mended.
	end, err := w.conn.ByName(wa[0].HostIf)
	w.must(err)
	w.must(w.conn.Apply(link.AddPortVLANs(end.Name, end.Index, link.Tagged, link.VLANs{From: 121, To: 121}),
		link.DeletePortVLANs(end.Name, end.Index, link.VLANs{From: 120, To: 120})))
	w.silent(a, w.outside[0], "10.120.0.254")
	if m, ok := errors.AsType[Mismatch](w.wirer.Check(context.Background(), a.Path(), wa)); !ok || !strings.Contains(m.What, "VLANs") {
		t.Errorf("check says %v", m)
	}
	_, err = w.wirer.Mend(context.Background(), slices.Concat(wa, wb, wc, wd))
	w.must(err)
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	w.must(w.wirer.Check(context.Background(), d.Path(), wd))
	w.reaches(a, w.outside[0], "10.120.0.254")
	for _, x := range []struct {
		p *netns.Namespace
		r []Record
	}{{a, wa}, {b, wb}, {c, wc}, {d, wd}} {
		w.unwire(x.p, x.r)
	}
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
}

// The node is the gateway of a VLAN while a Pod is in it.
func TestVMBridgeVLANGateway(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	wa := w.wire(a, w.attach(a, "net1", w.spec("bridge", `{"bridge":"br-v","vlan":120,"isDefaultGateway":true}`), "10.120.0.2/24"))
	wb := w.wire(b, w.attach(b, "net1", w.spec("bridge", `{"bridge":"br-v","vlan":121,"isDefaultGateway":true}`), "10.121.0.2/24"))
	w.reaches(a, w.node, "10.120.0.1")
	w.reaches(a, b, "10.121.0.2") // routed by the node
	if got := w.links(w.node); !slices.Contains(got, "br-v.120") || !slices.Contains(got, "br-v.121") {
		t.Errorf("links %v", got)
	}
	w.unwire(a, wa)
	if got := w.links(w.node); slices.Contains(got, "br-v.120") || !slices.Contains(got, "br-v.121") {
		t.Errorf("after the last Pod of VLAN 120: %v", got)
	}
	w.unwire(b, wb)
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
}

// A bridge of ours without VLANs filters them when the first Pod with one comes; those that were there go on.
func TestVMBridgeBeginsToFilter(t *testing.T) {
	w := newWorld(t)
	w.vlanOutside(w.outside[0], 120, "10.120.0.254/24")
	a, b := w.pod(), w.pod()
	w.wire(a, w.attach(a, "net1", w.spec("bridge", `{"bridge":"br-v","uplink":"up1"}`), "192.168.10.1/24"))
	w.wire(b, w.attach(b, "net1", w.spec("bridge", `{"bridge":"br-v","uplink":"up1","vlan":120}`), "10.120.0.2/24", "192.168.10.2/24"))
	w.reaches(a, w.outside[0], "192.168.10.254")
	w.reaches(b, w.outside[0], "10.120.0.254")
	w.silent(b, a, "192.168.10.1")
}

func TestVMVLAN(t *testing.T) {
	w := newWorld(t)
	w.vlanOutside(w.outside[0], 120, "10.120.0.254/24")
	w.vlanOutside(w.outside[0], 121, "10.121.0.254/24")
	a, b := w.pod(), w.pod()
	wa := w.wire(a, w.attach(a, "net1", w.spec("vlan", `{"master":"up1","vlanId":120}`), "10.120.0.1/24"))
	w.wire(b, w.attach(b, "net1", w.spec("vlan", `{"master":"up1","vlanId":121}`), "10.121.0.1/24"))
	w.reaches(a, w.outside[0], "10.120.0.254")
	w.reaches(b, w.outside[0], "10.121.0.254")
	up1, err := w.conn.ByName("up1")
	w.must(err)
	if wa[0].MAC != up1.MAC.String() || wa[0].VLAN != 120 || wa[0].Master != "up1" {
		t.Errorf("wired as %+v, up1 has %s", wa[0], up1.MAC)
	}
	c := w.pod()
	again := w.attach(c, "net1", w.spec("vlan", `{"master":"up1","vlanId":120}`), "10.120.0.3/24")
	if busy, ok := errors.AsType[DeviceBusy](func() error {
		_, err := w.wirer.Wire(context.Background(), c.Path(), []Attachment{again})
		return err
	}()); !ok || !strings.Contains(busy.Error(), "has VLAN 120 already") {
		t.Errorf("a second Pod in one VLAN: %v", busy)
	}
	w.unwire(a, wa)
	w.wire(c, again)
	w.reaches(c, w.outside[0], "10.120.0.254")
	other := w.attach(w.pod(), "net1", w.spec("vlan", `{"master":"up1","vlanId":122}`))
	other.MAC = keyMAC("a", "b")
	if wired := w.wire(w.pod(), other); wired[0].MAC != other.MAC.String() {
		t.Errorf("asked for %s, got %s", other.MAC, wired[0].MAC)
	}
}

func TestVMIPVLAN(t *testing.T) {
	for _, mode := range []string{"l2", "l3", "l3s"} {
		w := newWorld(t)
		a, b := w.pod(), w.pod()
		spec := w.spec("ipvlan", `{"master":"up1","mode":"`+mode+`"}`)
		wa := w.wire(a, w.attach(a, "net1", spec, "192.168.10.1/24", "fd00:10::1/64"))
		wb := w.wire(b, w.attach(b, "net1", spec, "192.168.10.2/24", "fd00:10::2/64"))
		if wa[0].MAC != wb[0].MAC {
			t.Errorf("%s: MACs %s and %s", mode, wa[0].MAC, wb[0].MAC)
		}
		w.reaches(a, b, "192.168.10.2")
		w.reaches(a, b, "fd00:10::2")
		if mode == "l2" {
			w.reaches(a, w.outside[0], "192.168.10.254")
			w.reaches(a, w.outside[0], "fd00:10::fe")
		}
		c := w.pod()
		_, err := w.wirer.Wire(context.Background(), c.Path(), []Attachment{w.attach(c, "net1", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.3/24")})
		if _, ok := errors.AsType[Refusal](err); !ok {
			t.Errorf("macvlan beside ipvlan: %v", err)
		}
		w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	}
}
