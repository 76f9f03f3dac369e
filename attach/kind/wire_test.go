package kind

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

func TestPodsReachEachOtherByTheNode(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	spec := w.spec("pod", `{}`)
	wa := w.wire(a, w.attach(a, "eth0", spec, "10.244.0.2/24", "fd00:244::2/64"))
	wb := w.wire(b, w.attach(b, "eth0", spec, "10.244.0.3/24", "fd00:244::3/64"))
	for _, ip := range []string{"10.244.0.3", "fd00:244::3"} {
		if from := w.reaches(a, b, ip); from != wa[0].Addresses[0].Prefix.Addr() && from != wa[0].Addresses[1].Prefix.Addr() {
			t.Errorf("%s sees source %s", ip, from)
		}
		w.reaches(w.node, b, ip)
	}
	if got := wb[0].Addresses[0].Prefix.String(); got != "10.244.0.3/32" {
		t.Errorf("address of eth0 is %s, want it alone", got)
	}
	if wb[0].MAC != "0a:58:0a:f4:00:03" || wb[0].HostIf != HostName(b.Path(), "eth0") {
		t.Errorf("wired as %+v", wb[0])
	}
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	w.unwire(a, wa)
	w.unwire(b, wb)
	if left := w.links(w.node); !slices.Equal(left, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", left)
	}
	if left := w.links(a); len(left) != 0 {
		t.Errorf("left in the pod: %v", left)
	}
	w.unwire(a, wa) // again is fine
}

func TestMacvlanReachesOutside(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	spec := w.spec("macvlan", `{"master":"up1"}`)
	w.wire(a, w.attach(a, "net1", spec, "192.168.10.1/24", "fd00:10::1/64"))
	w.wire(b, w.attach(b, "net1", spec, "192.168.10.2/24", "fd00:10::2/64"))
	for _, ip := range []string{"192.168.10.254", "fd00:10::fe"} {
		w.reaches(a, w.outside[0], ip)
	}
	for _, ip := range []string{"192.168.10.2", "fd00:10::2"} {
		w.reaches(a, b, ip)
	}
}

func TestDefaultRouteByMacvlan(t *testing.T) {
	w := newWorld(t)
	p, peer := w.pod(), w.pod()
	w.wire(peer, w.attach(peer, "eth0", w.spec("pod", `{}`), "10.244.0.9/24"))
	eth0 := w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24", "fd00:244::2/64")
	eth0.DefaultRoute = nil
	eth0.Routes = []Route{{Dst: netip.MustParsePrefix("10.244.0.0/16")}, {Dst: defaults[0]}}
	net1 := w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.1/24", "fd00:10::1/64")
	net1.DefaultRoute = []netip.Addr{netip.MustParseAddr("192.168.10.254"), netip.MustParseAddr("fd00:10::fe")}
	wired := w.wire(p, eth0, net1)
	if from := w.reaches(p, w.outside[0], "203.0.113.1"); from.String() != "192.168.10.1" {
		t.Errorf("left from %s", from)
	}
	if from := w.reaches(p, w.outside[0], "2001:db8::1"); from.String() != "fd00:10::1" {
		t.Errorf("left from %s", from)
	}
	w.reaches(p, peer, "10.244.0.9")
	routes, err := w.dial(p).Routes()
	w.must(err)
	for _, r := range routes {
		if r.IsDefault() && r.Gateway != net1.DefaultRoute[0] && r.Gateway != net1.DefaultRoute[1] {
			t.Errorf("another default route: %+v", r)
		}
	}
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
}

func TestDefaultRouteDisplacesForeignOne(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	c := w.dial(p)
	w.must(w.conn.Apply(link.NewVeth(link.End{Name: "primary"}, link.End{Name: "eth0", NS: p})))
	eth0, err := c.ByName("eth0")
	w.must(err)
	w.must(c.Apply(link.Up("eth0", eth0.Index),
		link.AddAddress("eth0", eth0.Index, netip.MustParsePrefix("10.1.0.2/24"), link.AddressOptions{}),
		link.AddRoute("eth0", link.Route{Index: eth0.Index, Dst: defaults[0], Gateway: netip.MustParseAddr("10.1.0.1")})))
	net1 := w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.1/24")
	net1.DefaultRoute = []netip.Addr{netip.MustParseAddr("192.168.10.254")}

	w.wirer.fault = func(step string) error {
		if step == "announce" {
			return errors.New("injected")
		}
		return nil
	}
	if _, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{net1}); err == nil {
		t.Fatal("injected fault had no effect")
	}
	w.wirer.fault = nil
	if got := defaultGateways(w, p); !slices.Equal(got, []string{"10.1.0.1"}) {
		t.Errorf("after rollback the default route is %v", got)
	}
	w.wire(p, net1)
	if got := defaultGateways(w, p); !slices.Equal(got, []string{"192.168.10.254"}) {
		t.Errorf("default route is %v", got)
	}
	w.reaches(p, w.outside[0], "203.0.113.1")
}

func TestBridgeWithUplink(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	spec := w.spec("bridge", `{"bridge":"br-blue","uplink":"up1","hairpinMode":true}`)
	wa := w.wire(a, w.attach(a, "net1", spec, "192.168.10.1/24", "fd00:10::1/64"))
	wb := w.wire(b, w.attach(b, "net1", spec, "192.168.10.2/24", "fd00:10::2/64"))
	for _, ip := range []string{"192.168.10.254", "fd00:10::fe"} {
		w.reaches(a, w.outside[0], ip)
	}
	for _, ip := range []string{"192.168.10.2", "fd00:10::2"} {
		w.reaches(a, b, ip)
	}
	end, err := w.conn.ByName(wa[0].HostIf)
	w.must(err)
	if !end.Port.Hairpin || end.Port.Isolated {
		t.Errorf("port options %+v", end.Port)
	}
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	w.unwire(a, wa)
	if got := w.links(w.node); !slices.Contains(got, "br-blue") {
		t.Errorf("bridge with a Pod on it is gone: %v", got)
	}
	w.unwire(b, wb)
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
}

func TestBridgeGateway(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	spec := w.spec("bridge", `{"bridge":"br-gw","isDefaultGateway":true,"ipMasq":true}`)
	wa := w.wire(a, w.attach(a, "net1", spec, "10.7.0.2/24 via 10.7.0.1", "fd00:7::2/64 via fd00:7::1"))
	w.wire(b, w.attach(b, "eth0", w.spec("pod", `{}`), "10.244.0.2/24", "fd00:244::2/64"))
	for _, ip := range []string{"10.7.0.1", "fd00:7::1"} {
		w.reaches(a, w.node, ip)
	}
	for _, ip := range []string{"10.244.0.2", "fd00:244::2"} {
		w.reaches(a, b, ip)
	}
	if len(wa[0].Masquerade) != 2 {
		t.Errorf("masquerade for %v", wa[0].Masquerade)
	}
	c := w.pod()
	other := w.attach(c, "net1", spec, "10.8.0.2/24 via 10.8.0.1")
	_, err := w.wirer.Wire(context.Background(), c.Path(), []Attachment{other})
	if conflict, ok := errors.AsType[Conflict](err); !ok || conflict.Device != "br-gw" {
		t.Errorf("another gateway on the bridge: %v", err)
	}
	other.Spec = w.spec("bridge", `{"bridge":"br-gw","isDefaultGateway":true,"forceAddress":true}`)
	w.wire(c, other)
	w.reaches(c, w.node, "10.8.0.1")
}

func TestPortIsolation(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	spec := w.spec("bridge", `{"bridge":"br-iso","uplink":"up1","portIsolation":true}`)
	w.wire(a, w.attach(a, "net1", spec, "192.168.10.1/24"))
	w.wire(b, w.attach(b, "net1", spec, "192.168.10.2/24"))
	w.reaches(a, w.outside[0], "192.168.10.254")
	if _, err := exchange(a, b, "192.168.10.2"); err == nil {
		t.Error("isolated ports reach each other")
	}
}

func TestPTP(t *testing.T) {
	for _, gateway := range []bool{true, false} {
		w := newWorld(t)
		a, b := w.pod(), w.pod()
		via := []string{" via 10.9.0.1", " via fd00:9::1"}
		if !gateway {
			via = []string{"", ""}
		}
		spec := w.spec("ptp", `{"mtu":1400}`)
		as := func(n string) []string {
			return []string{"10.9.0." + n + "/24" + via[0], "fd00:9::" + n + "/64" + via[1]}
		}
		wa := w.wire(a, w.attach(a, "net1", spec, as("2")...))
		w.wire(b, w.attach(b, "net1", spec, as("3")...))
		for _, ip := range []string{"10.9.0.3", "fd00:9::3"} {
			w.reaches(a, b, ip)
		}
		if gateway {
			w.reaches(w.node, a, "10.9.0.2")
			w.reaches(a, w.node, "10.9.0.1")
			w.reaches(a, w.node, "fd00:9::1")
		}
		if wa[0].MTU != 1400 {
			t.Errorf("MTU %d", wa[0].MTU)
		}
		w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	}
}

func defaultGateways(w *world, p *netns.Namespace) (all []string) {
	w.Helper()
	routes, err := w.dial(p).Routes()
	w.must(err)
	for _, r := range routes {
		if r.IsDefault() {
			all = append(all, r.Gateway.String())
		}
	}
	return all
}
