package trunk_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/trunk"
)

var everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// What a Pod may not send is dropped, counted with its reason, and reaches
// neither another Pod nor the wire.
func TestGuard(t *testing.T) {
	w := newWorld(t)
	n := w.node()
	evil, near := n.pod(120), n.pod(120)
	wire, err := w.dial(w.wire).ByName("port1")
	w.must(err)
	from, outside, inside := w.raw(evil.ns, evil.net1.Index), w.raw(w.wire, wire.Index), w.raw(near.ns, near.net1.Index)

	mac, stranger := evil.port.MAC, net.HardwareAddr{2, 9, 9, 9, 9, 9}
	ip, ip6 := evil.ip.AsSlice(), evil.ip6.AsSlice()
	lie, lie6 := netip.MustParseAddr("10.99.200.200").AsSlice(), netip.MustParseAddr("fd99::bad").AsSlice()
	local := netip.MustParseAddr("fe80::1").AsSlice()
	v4 := func(source []byte) []byte {
		return append([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 253, 0, 0}, source...)
	}
	v6 := func(next byte, source []byte) []byte {
		head := append([]byte{0x60, 0, 0, 0, 0, 40, next, 255}, source...)
		return append(head, netip.MustParseAddr("ff02::1").AsSlice()...)
	}
	arp := func(mac net.HardwareAddr, ip []byte) []byte {
		return frame(1, 0x0800, byte(6), byte(4), 2, mac, ip)[:18]
	}
	advertisement := func(target []byte) []byte { return append([]byte{136, 0, 0, 0, 0, 0, 0, 0}, target...) }

	for name, c := range map[string]struct {
		reason trunk.Reason // "" when it passes
		parts  []any
	}{
		"own address":               {"", []any{everybody, mac, 0x0800, v4(ip)}},
		"no address yet":            {"", []any{everybody, mac, 0x0800, v4(make([]byte, 4))}},
		"own IPv6 address":          {"", []any{everybody, mac, 0x86dd, v6(59, ip6)}},
		"link-local":                {"", []any{everybody, mac, 0x86dd, v6(59, local)}},
		"no IPv6 address yet":       {"", []any{everybody, mac, 0x86dd, v6(59, make([]byte, 16))}},
		"own ARP":                   {"", []any{everybody, mac, 0x0806, arp(mac, ip)}},
		"ARP probe":                 {"", []any{everybody, mac, 0x0806, arp(mac, make([]byte, 4))}},
		"own advertisement":         {"", []any{everybody, mac, 0x86dd, v6(58, ip6), advertisement(ip6)}},
		"another protocol":          {"", []any{everybody, mac, 0x88b5}},
		"a foreign MAC":             {trunk.ForeignMAC, []any{everybody, stranger, 0x0800, v4(ip)}},
		"the neighbour's MAC":       {trunk.ForeignMAC, []any{everybody, near.port.MAC, 0x0800, v4(ip)}},
		"a tag of another VLAN":     {trunk.Tagged, []any{everybody, mac, 0x8100, 121, 0x0800, v4(ip)}},
		"a tag of the own VLAN":     {trunk.Tagged, []any{everybody, mac, 0x8100, 120, 0x0800, v4(ip)}},
		"two tags":                  {trunk.Tagged, []any{everybody, mac, 0x8100, 120, 0x8100, 121, 0x0800, v4(ip)}},
		"a provider's tag":          {trunk.Tagged, []any{everybody, mac, 0x88a8, 121, 0x0800, v4(ip)}},
		"a tag with a priority":     {trunk.Tagged, []any{everybody, mac, 0x8100, 0xe000, 0x0800, v4(ip)}},
		"an old tag":                {trunk.Tagged, []any{everybody, mac, 0x9100, 121, 0x0800, v4(ip)}},
		"a foreign address":         {trunk.ForeignIP, []any{everybody, mac, 0x0800, v4(lie)}},
		"a foreign IPv6 address":    {trunk.ForeignIP, []any{everybody, mac, 0x86dd, v6(59, lie6)}},
		"ARP of a foreign address":  {trunk.ForeignARP, []any{everybody, mac, 0x0806, arp(mac, lie)}},
		"ARP of a foreign MAC":      {trunk.ForeignARP, []any{everybody, mac, 0x0806, arp(stranger, ip)}},
		"a foreign advertisement":   {trunk.ForeignNeighbour, []any{everybody, mac, 0x86dd, v6(58, ip6), advertisement(lie6)}},
		"hidden behind options":     {trunk.ForeignNeighbour, []any{everybody, mac, 0x86dd, v6(0, ip6), []byte{60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0}, advertisement(lie6)}},
		"a router's advertisement":  {trunk.RouterAdvertisement, []any{everybody, mac, 0x86dd, v6(58, local), []byte{134, 0}}},
		"a router behind an option": {trunk.RouterAdvertisement, []any{everybody, mac, 0x86dd, v6(60, local), []byte{58, 0, 1, 4, 0, 0, 0, 0, 134, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			before := evil.dropped(c.reason)
			mark := "\x00mark " + name
			from.send(append(c.parts, mark)...)
			if c.reason != "" {
				if after := evil.dropped(c.reason); after != before+1 {
					t.Errorf("%s: %d frames dropped for it, want one", c.reason, after-before)
				}
				if _, found := outside.await(mark, 10*time.Millisecond); found {
					t.Error("it is on the wire")
				}
				if _, found := inside.await(mark, 10*time.Millisecond); found {
					t.Error("the neighbour has it")
				}
				return
			}
			if tag, found := outside.await(mark, time.Second); !found || tag != 120 {
				t.Errorf("on the wire %v, with tag %d", found, tag)
			}
			if tag, found := inside.await(mark, time.Second); !found || tag != 0 {
				t.Errorf("at the neighbour %v, with tag %d", found, tag)
			}
		})
	}
}

// Without known addresses a Pod is held to its MAC only.
func TestGuardWithoutAddresses(t *testing.T) {
	n := newWorld(t).node()
	p, near := n.plug(120), n.pod(120)
	p.port.Addresses = nil
	n.must(n.sw.Put(p.port))
	p.reaches(near)
	n.must(p.conn.Apply(linkAddress(p, "10.99.77.77/16")))
	p.ip = netip.MustParseAddr("10.99.77.77")
	near.reaches(p)
}

// The node's own traffic on the trunk is as if there were no switch.
func TestNodeKeepsItsTraffic(t *testing.T) {
	w := newWorld(t)
	n1, n2 := w.node(), w.node()
	for _, n := range []*node{n1, n2} {
		n.must(n.conn.Apply(addressOf(n, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n.number)}), 24))))
		n.pod(120)
	}
	if err := exchange(n1.ns, n2.ns, netip.MustParseAddr("192.0.2.2"), 1400, 3); err != nil {
		t.Errorf("untagged: %v", err)
	}
	wire, err := w.dial(w.wire).ByName("port1")
	w.must(err)
	port, eth1 := w.raw(w.wire, wire.Index), w.raw(n1.ns, n1.trunk.Index)
	stranger := net.HardwareAddr{2, 9, 9, 9, 9, 9}
	for name, c := range map[string]struct {
		to  net.HardwareAddr
		tag int
	}{
		"another VLAN":             {n1.trunk.MAC, 7},
		"another VLAN, everybody":  {everybody, 7},
		"the Pods' VLAN":           {n1.trunk.MAC, 120},
		"the Pods' VLAN, everyone": {everybody, 120},
	} {
		mark := "\x00to the node " + name
		port.send(c.to, stranger, 0x8100, c.tag, 0x88b5, mark)
		if tag, found := eth1.await(mark, time.Second); !found || tag != c.tag {
			t.Errorf("%s: arrives %v, with tag %d, want %d", name, found, tag, c.tag)
		}
	}
}

// What the wire sends back of a Pod's own does not come in again.
func TestEchoOfTheWire(t *testing.T) {
	w := newWorld(t)
	n := w.node()
	p := n.pod(120)
	wire, err := w.dial(w.wire).ByName("port1")
	w.must(err)
	port, inside := w.raw(w.wire, wire.Index), w.raw(p.ns, p.net1.Index)
	port.send(everybody, p.port.MAC, 0x8100, 120, 0x88b5, "echo")
	if _, found := inside.await("echo", 20*time.Millisecond); found {
		t.Error("a Pod hears itself")
	}
	port.send(p.port.MAC, everybody[:5], byte(0xfe), 0x8100, 120, 0x8100, 121, 0x88b5, "inner")
	if _, found := inside.await("inner", 20*time.Millisecond); found {
		t.Error("a frame with a second tag came in")
	}
	all, err := n.sw.Drops()
	w.must(err)
	have := map[trunk.Reason]uint64{}
	for _, d := range all {
		if d.Port == 0 && d.VLAN == 120 {
			have[d.Reason] = d.Frames
		}
	}
	if have["own-mac-outside"] != 1 || have["double-tagged"] != 1 {
		t.Errorf("counted %v", have)
	}
}
