package kind

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// probed asks for all addresses of an attachment.
func probed(a Attachment) Attachment {
	for i := range a.Addresses {
		a.Addresses[i].Probe = true
	}
	return a
}

// macOf is the hardware address of an interface.
func (w *world) macOf(n *netns.Namespace, name string) string {
	w.Helper()
	l, err := w.dial(n).ByName(name)
	w.must(err)
	return l.MAC.String()
}

func TestStrangersAddressIsRefused(t *testing.T) {
	w := newWorld(t)
	w.settled()
	outside := w.macOf(w.outside[0], "wire")
	for _, config := range []string{`{"master":"up1"}`, `{"master":"up1","mode":"private"}`, `{"bridge":"tstbr","uplink":"up1"}`} {
		typ := "macvlan"
		if config[2] == 'b' {
			typ = "bridge"
		}
		p := w.pod()
		a := probed(w.attach(p, "net1", w.spec(typ, config), "192.168.10.254/24", "fd00:10::fe/64", "192.168.10.1/24", "fd00:10::1/64"))
		_, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{a})
		inUse, ok := errors.AsType[AddressInUse](err)
		if !ok || len(inUse.Strangers) != 2 {
			t.Fatalf("%s: %v", config, err)
		}
		for _, s := range inUse.Strangers {
			if s.MAC != outside || s.IfName != "net1" || s.Address.String() != "192.168.10.254" && s.Address.String() != "fd00:10::fe" {
				t.Errorf("%s: stranger is %+v, want %s", config, s, outside)
			}
		}
		if left := w.links(p); len(left) > 0 {
			t.Errorf("%s: left in the pod: %v", config, left)
		}
		if left := w.links(w.node); !slices.Equal(left, []string{"up1", "up2"}) {
			t.Errorf("%s: left on the node: %v", config, left)
		}
		a = probed(w.attach(p, "net1", w.spec(typ, config), "192.168.10.1/24", "fd00:10::1/64"))
		wired := w.wire(p, a)
		w.reaches(p, w.outside[0], "192.168.10.254")
		if wired[0].Segment != a.Spec.Segment() || wired[0].Segment == "" {
			t.Errorf("segment is %q", wired[0].Segment)
		}
		w.unwire(p, wired)
	}
}

// settled waits until the outside's IPv6 addresses answer: they are checked for duplicates first.
func (w *world) settled() {
	w.Helper()
	p := w.pod()
	wired := w.wire(p, w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "fd00:10::99/64"))
	for range 100 {
		found, err := w.wirer.Seek(context.Background(), p.Path(), wired[0], []netip.Addr{netip.MustParseAddr("fd00:10::fe")})
		w.must(err)
		if len(found) == 1 {
			w.unwire(p, wired)
			return
		}
	}
	w.Fatal("the outside does not answer")
}

// Another Pod on the uplink, made by whoever, and the node itself are strangers too.
func TestStrangersOnTheNode(t *testing.T) {
	w := newWorld(t)
	other, p := w.pod(), w.pod()
	spec := w.spec("macvlan", `{"master":"up1"}`)
	w.wire(other, w.attach(other, "net1", spec, "192.168.10.1/24", "fd00:10::1/64"))
	up, err := w.conn.ByName("up1")
	w.must(err)
	w.must(w.conn.Apply(link.AddAddress("up1", up.Index, netip.MustParsePrefix("192.168.10.77/24"), link.AddressOptions{})))
	for address, mac := range map[string]string{
		"192.168.10.1/24": w.macOf(other, "net1"), "fd00:10::1/64": w.macOf(other, "net1"), "192.168.10.77/24": up.MAC.String(),
	} {
		_, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{probed(w.attach(p, "net1", spec, address))})
		if inUse, ok := errors.AsType[AddressInUse](err); !ok || inUse.Strangers[0].MAC != mac {
			t.Errorf("%s: %v, want %s", address, err, mac)
		}
	}
}

// A bridge of ours without an uplink has nobody on it but Pods: nobody is asked, and nobody waits.
func TestSegmentThatStaysOnTheNodeIsNotAsked(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	var steps []string
	w.wirer.fault = func(step string) error { steps = append(steps, step); return nil }
	wired := w.wire(p, probed(w.attach(p, "net1", w.spec("bridge", `{"bridge":"tstbr"}`), "192.168.10.1/24")),
		probed(w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24")))
	if wired[0].Segment != "" || wired[1].Segment != "" {
		t.Errorf("segments are %q and %q", wired[0].Segment, wired[1].Segment)
	}
	if !slices.Contains(steps, "probe") {
		t.Errorf("steps were %v", steps)
	}
	// The same name on a bridge that somebody else made leads outside.
	w.unwire(p, wired)
	w.must(w.conn.Apply(link.NewBridge(link.End{Name: "tstbr"})))
	br, err := w.conn.ByName("tstbr")
	w.must(err)
	w.must(w.conn.Apply(link.Up("tstbr", br.Index), link.AddAddress("tstbr", br.Index, netip.MustParsePrefix("192.168.10.5/24"), link.AddressOptions{})))
	_, err = w.wirer.Wire(context.Background(), p.Path(), []Attachment{probed(w.attach(p, "net1", w.spec("bridge", `{"bridge":"tstbr"}`), "192.168.10.5/24"))})
	if inUse, ok := errors.AsType[AddressInUse](err); !ok || inUse.Strangers[0].MAC != br.MAC.String() {
		t.Errorf("%v, want %s", err, br.MAC)
	}
}

func TestGateways(t *testing.T) {
	w := newWorld(t)
	w.settled()
	p := w.pod()
	wired := w.wire(p, w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.1/24", "fd00:10::1/64"))
	there := []netip.Addr{netip.MustParseAddr("192.168.10.254"), netip.MustParseAddr("fd00:10::fe")}
	began := time.Now()
	silent, err := w.wirer.Gateways(context.Background(), p.Path(), wired[0], there)
	w.must(err)
	if len(silent) > 0 || time.Since(began) > gatewayWait/2 {
		t.Errorf("silent are %v after %v", silent, time.Since(began))
	}
	absent := netip.MustParseAddr("192.168.10.253")
	silent, err = w.wirer.Gateways(context.Background(), p.Path(), wired[0], append(there, absent))
	w.must(err)
	if !slices.Equal(silent, []netip.Addr{absent}) {
		t.Errorf("silent are %v", silent)
	}
}

// When an address comes to another MAC, whoever had cached the old one learns the new one at once and not when the entry is old.
func TestNeighboursLearnTheNewMAC(t *testing.T) {
	w := newWorld(t)
	w.settled()
	a, b := w.pod(), w.pod()
	spec := w.spec("macvlan", `{"master":"up1"}`)
	addresses := []string{"192.168.10.1/24", "fd00:10::1/64"}
	first := w.attach(a, "net1", spec, addresses...)
	wired := w.wire(a, first)
	for _, ip := range []string{"192.168.10.1", "fd00:10::1"} {
		w.reaches(w.outside[0], a, ip)
	}
	w.unwire(a, wired)
	second := w.attach(b, "net1", spec, addresses...)
	second.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x42}
	w.wire(b, second)
	out := w.dial(w.outside[0])
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all, err := out.Neighbours()
		w.must(err)
		known := 0
		for _, n := range all {
			if slices.Contains([]string{"192.168.10.1", "fd00:10::1"}, n.IP.String()) && n.MAC.String() == second.MAC.String() {
				known++
			}
		}
		if known == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the outside knows %+v", all)
		}
	}
}
