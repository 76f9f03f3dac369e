package link_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

func TestLinksInAnotherNamespaceInOneMessage(t *testing.T) {
	node, pod := namespace(t, "node"), namespace(t, "pod")
	n, p := dial(t, node), dial(t, pod)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	must(t, n.Apply(
		link.NewVeth(link.End{Name: "tsu0", MAC: mac, MTU: 1400}, link.End{Name: "eth0", MAC: mac, MTU: 1400, Group: link.Group, NS: pod}),
		link.NewBridge(link.End{Name: "br0", Group: link.Group, Promisc: true}),
		link.NewVeth(link.End{Name: "up1"}, link.End{Name: "far"}),
	))
	up, err := n.ByName("up1")
	must(t, err)
	br, err := n.ByName("br0")
	must(t, err)
	must(t, n.Apply(
		link.NewVeth(link.End{Name: "tsu1", Master: br.Index}, link.End{Name: "net1", NS: pod, Group: link.Group}),
		link.NewMacvlan(link.End{Name: "net2", MAC: mac, MTU: 1300, Group: link.Group, NS: pod}, link.Macvlan{Parent: up.Index, Mode: "private", BroadcastQueue: 500}),
	))
	port, err := n.ByName("tsu1")
	must(t, err)
	must(t, n.Apply(link.SetPort("tsu1", port.Index, link.PortOptions{Hairpin: true, Isolated: true})))
	ports, err := n.Ports(br.Index)
	must(t, err)
	if len(ports) != 1 || ports[0].Name != "tsu1" || !ports[0].Port.Hairpin || !ports[0].Port.Isolated {
		t.Errorf("ports %+v", ports)
	}
	if !br.Promisc || br.Kind != "bridge" || br.Group != link.Group || !br.Up {
		t.Errorf("bridge %+v", br)
	}
	links, err := p.Links()
	must(t, err)
	got := map[string]link.Link{}
	for _, l := range links {
		got[l.Name] = l
	}
	if l := got["eth0"]; l.MTU != 1400 || l.MAC.String() != mac.String() || l.Group != link.Group || l.Kind != "veth" || l.Up {
		t.Errorf("eth0 %+v", l)
	}
	if end, err := n.ByIndex(got["eth0"].Parent); err != nil || end.Name != "tsu0" || !end.Up {
		t.Errorf("other end of eth0: %+v, %v", end, err)
	}
	if l := got["net2"]; l.MTU != 1300 || l.Mode != "private" || !l.Up || l.Parent != up.Index {
		t.Errorf("net2 %+v", l)
	}
	must(t, p.Apply(link.DeleteGroup(link.Group)))
	if links, err = p.Links(); err != nil || slices.ContainsFunc(links, func(l link.Link) bool { return l.Group == link.Group }) {
		t.Errorf("after removal by group: %v, %v", links, err)
	}
	if _, err := n.ByName("tsu0"); !link.Missing(err) {
		t.Errorf("other end is left: %v", err)
	}
}

func TestErrorsSayWhatAndWhich(t *testing.T) {
	c := dial(t, namespace(t, "a"))
	must(t, c.Apply(link.NewBridge(link.End{Name: "br0"})))
	br, err := c.ByName("br0")
	must(t, err)
	for _, e := range []struct {
		op   link.Op
		is   func(error) bool
		says string
	}{
		{link.NewBridge(link.End{Name: "br0"}), link.Exists, "make bridge (br0): file exists"},
		{link.Delete("nope"), link.Missing, "delete interface (nope): no such device"},
		{link.DeleteGroup(5), link.Missing, "delete interfaces of group 0x5"},
		{link.AddRoute("br0", link.Route{Index: br.Index, Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1")}), nil, "add route 0.0.0.0/0 via 10.0.0.1 (br0): network is unreachable (Nexthop has invalid gateway)"},
		{link.AddAddress("nope", 99, netip.MustParsePrefix("10.0.0.1/24"), link.AddressOptions{}), link.Missing, "add address 10.0.0.1/24 (nope): no such device"},
	} {
		err := c.Apply(e.op)
		if err == nil || !strings.Contains(err.Error(), e.says) || e.is != nil && !e.is(err) {
			t.Errorf("%v\nwant %s", err, e.says)
		}
	}
	must(t, c.Apply(link.Delete("nope").Forgiving(), link.NewBridge(link.End{Name: "br0"}).Forgiving()))
	if _, err := c.ByName("nope"); !link.Missing(err) {
		t.Errorf("lookup: %v", err)
	}
}

// One batch of more than a system call's worth, with failures in the middle: every operation has its own outcome.
func TestEachOfMany(t *testing.T) {
	c := dial(t, namespace(t, "a"))
	must(t, c.Apply(link.NewBridge(link.End{Name: "br0"})))
	br, err := c.ByName("br0")
	must(t, err)
	const n = 3000
	ops := make([]link.Op, n)
	for i := range ops {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)})
		if i%1000 == 999 {
			a = netip.AddrFrom4([4]byte{10, 0, 0, 1})
		}
		ops[i] = link.AddAddress("br0", br.Index, netip.PrefixFrom(a, 32), link.AddressOptions{})
	}
	for i, err := range c.Each(ops...) {
		if want := i%1000 == 999; want != link.Exists(err) || !want && err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	have, err := c.AddressesOf(br.Index)
	must(t, err)
	if len(slices.DeleteFunc(have, func(a link.Address) bool { return !a.Prefix.Addr().Is4() })) != n-3 {
		t.Errorf("%d addresses", len(have))
	}
	if none, err := c.AddressesOf(1); err != nil || len(none) != 0 {
		t.Errorf("addresses of lo: %v, %v", none, err)
	}
}

func TestRoutesAndNeighbours(t *testing.T) {
	c := dial(t, namespace(t, "a"))
	must(t, c.Apply(link.NewVeth(link.End{Name: "a"}, link.End{Name: "b"})))
	a, err := c.ByName("a")
	must(t, err)
	b, err := c.ByName("b")
	must(t, err)
	must(t, c.Apply(link.Up("b", b.Index),
		link.AddAddress("a", a.Index, netip.MustParsePrefix("10.0.0.2/24"), link.AddressOptions{}),
		link.AddAddress("b", b.Index, netip.MustParsePrefix("10.0.1.2/24"), link.AddressOptions{NoPrefixRoute: true}),
		link.AddAddress("a", a.Index, netip.MustParsePrefix("fd00::2/64"), link.AddressOptions{})))
	want := []link.Route{
		{Index: a.Index, Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1"), MTU: 1300, AdvMSS: 1200, Priority: 7},
		{Index: a.Index, Dst: netip.MustParsePrefix("10.5.0.0/16"), Source: netip.MustParseAddr("10.0.0.2")},
		{Index: a.Index, Dst: netip.MustParsePrefix("10.6.0.0/16"), Gateway: netip.MustParseAddr("169.254.1.1"), OnLink: true, Table: 1000},
		{Index: a.Index, Dst: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1")},
		{Index: a.Index, Dst: netip.MustParsePrefix("fd01::/64"), Gateway: netip.MustParseAddr("fd09::1"), OnLink: true},
	}
	for _, r := range want {
		must(t, c.Apply(link.AddRoute("a", r)))
		if err := c.Apply(link.AddRoute("a", r)); !link.Exists(err) {
			t.Errorf("second time: %v", err)
		}
		must(t, c.Apply(link.ReplaceRoute("a", r)))
	}
	have, err := c.RoutesOf(a.Index)
	must(t, err)
	for _, r := range want {
		if !slices.ContainsFunc(have, func(h link.Route) bool {
			return h.Dst == r.Dst && h.Gateway == r.Gateway && h.MTU == r.MTU && h.AdvMSS == r.AdvMSS && h.Source == r.Source &&
				h.Protocol == link.RouteProtocol && (r.Table == 0 && h.InMain() || h.Table == r.Table)
		}) {
			t.Errorf("no %+v in %+v", r, have)
		}
	}
	if onB, err := c.RoutesOf(b.Index); err != nil || slices.ContainsFunc(onB, func(r link.Route) bool { return r.Dst.Addr().Is4() }) {
		t.Errorf("routes of b: %+v, %v", onB, err)
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	must(t, c.Apply(link.SetNeighbour("a", a.Index, netip.MustParseAddr("10.0.0.1"), mac), link.SetNeighbour("a", a.Index, netip.MustParseAddr("fe80::1"), mac)))
	neighbours, err := c.Neighbours()
	must(t, err)
	found := 0
	for _, n := range neighbours {
		if n.Permanent && n.MAC.String() == mac.String() {
			found++
		}
	}
	if found != 2 {
		t.Errorf("neighbours %+v", neighbours)
	}
	for _, r := range want {
		must(t, c.Apply(link.DeleteRoute("a", r)))
	}
}

func TestMoveThereAndBack(t *testing.T) {
	node, pod := namespace(t, "node"), namespace(t, "pod")
	n, p := dial(t, node), dial(t, pod)
	must(t, n.Apply(link.NewVeth(link.End{Name: "dev0"}, link.End{Name: "far"})))
	l, err := n.ByName("dev0")
	must(t, err)
	alias, yes := "was dev0", true
	must(t, n.Apply(link.Set(link.Change{Index: l.Index, Device: "dev0", NS: pod, Name: "net1", MTU: 1400, Alias: &alias, Up: &yes})))
	in, err := p.ByName("net1")
	must(t, err)
	if in.MTU != 1400 || in.Alias != alias || !in.Up {
		t.Errorf("inside %+v", in)
	}
	none, group := "", uint32(9)
	must(t, p.Apply(link.Set(link.Change{Index: in.Index, NS: node, Name: "dev0", MTU: 1500, Alias: &none, Group: &group})))
	back, err := n.ByName("dev0")
	must(t, err)
	if back.MTU != 1500 || back.Alias != "" || back.Up || back.Group != 9 {
		t.Errorf("back %+v", back)
	}
}

// A list is whole even while others make and remove interfaces as fast as they can.
func TestListsAreWhole(t *testing.T) {
	ns := namespace(t, "a")
	c, busy := dial(t, ns), dial(t, ns)
	const n = 200
	var ops []link.Op
	for i := range n {
		ops = append(ops, link.NewBridge(link.End{Name: fmt.Sprintf("br%d", i)}))
	}
	must(t, c.Apply(ops...))
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		var failed error
		for !stop.Load() {
			failed = errors.Join(failed, busy.Apply(link.NewVeth(link.End{Name: "x"}, link.End{Name: "y"}), link.Delete("x")))
		}
		done <- failed
	}()
	for range 200 {
		links, err := c.Links()
		if errors.Is(err, link.ErrInterrupted) {
			continue
		}
		must(t, err)
		bridges := 0
		for _, l := range links {
			if l.Kind == "bridge" {
				bridges++
			}
		}
		if bridges != n {
			t.Fatalf("%d bridges of %d", bridges, n)
		}
	}
	stop.Store(true)
	must(t, <-done)
}

func TestKnob(t *testing.T) {
	ns := namespace(t, "a")
	const path = "ipv6/conf/default/accept_ra"
	must(t, ns.Do(func() error {
		k, err := link.TurnHere(path, "0")
		if err != nil || link.ReadHere(path) != "0" || k.Was() != "1" {
			t.Errorf("turned: %q, was %q, %v", link.ReadHere(path), k.Was(), err)
		}
		same, err := link.TurnHere(path, "0")
		if err != nil || same.Was() != "" {
			t.Errorf("turned to what it is: %v", err)
		}
		return errors.Join(same.Back(), k.Back())
	}))
	must(t, ns.Do(func() error {
		if got := link.ReadHere(path); got != "1" {
			t.Errorf("put back to %q", got)
		}
		if k, err := link.TurnHere("ipv9/none", "1"); k != nil || err != nil {
			t.Errorf("no such knob: %v", err)
		}
		if err := link.WriteHere("ipv9/none", "1"); err == nil {
			t.Error("no such knob, and no error")
		}
		return nil
	}))
}

func TestForward(t *testing.T) {
	ns := namespace(t, "a")
	c := dial(t, ns)
	must(t, c.Apply(link.NewBridge(link.End{Name: "br0"})))
	must(t, link.Forward(ns, false))
	must(t, link.Forward(ns, true))
	must(t, link.Forward(ns, true))
	must(t, ns.Do(func() error {
		for path, want := range map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv6/conf/br0/accept_ra": "2"} {
			if got := link.ReadHere(path); got != want {
				t.Errorf("%s is %s, want %s", path, got, want)
			}
		}
		return nil
	}))
}

func TestSysfs(t *testing.T) {
	if _, err := link.OfPCI("0000:ff:1f.7"); !link.Missing(err) {
		t.Errorf("%v", err)
	}
	if _, err := link.OfPath("/sys/devices/none"); !link.Missing(err) {
		t.Errorf("%v", err)
	}
	if name, err := link.OfPath("/sys/devices/virtual/net/lo"); err != nil || name != "lo" {
		t.Errorf("%s, %v", name, err)
	}
}

func TestErrno(t *testing.T) {
	for errno, is := range map[unix.Errno]func(error) bool{
		unix.EEXIST: link.Exists, unix.ENODEV: link.Missing, unix.ESRCH: link.Missing, unix.EADDRINUSE: link.Busy,
		unix.EBUSY: link.Busy, unix.EACCES: link.Denied, unix.EOPNOTSUPP: link.Unsupported,
	} {
		if err := fmt.Errorf("x: %w", &link.Error{Op: "o", Err: errno}); !is(err) {
			t.Errorf("%v", err)
		}
	}
}
