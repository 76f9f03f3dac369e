package overlay

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

func config(t testing.TB, c Config) Config {
	c, err := c.complete()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nodeState is a node with eth0 on 192.168.7.0/24 and fd07::/64, where nothing of the overlay is yet.
func nodeState() *state {
	return &state{
		links: []link.Link{{Index: 1, Name: "lo", Loopback: true, Up: true, MTU: 65536}, {Index: 2, Name: "eth0", Up: true, MTU: 1500}},
		addresses: []link.Address{
			{Index: 1, Prefix: netip.MustParsePrefix("127.0.0.1/8")},
			{Index: 2, Prefix: netip.MustParsePrefix("192.168.7.1/24")}, {Index: 2, Prefix: netip.MustParsePrefix("fd07::1/64")},
		},
		sysctls:     map[string]string{forward4: "0", forward6: "0", "ipv6/conf/eth0/accept_ra": "1", "ipv6/conf/lo/accept_ra": "0", allRPFilter: "0"},
		interfaces6: []string{"lo", "eth0"},
		defaults:    map[bool]int{},
	}
}

func testNode(i int, families string) Node {
	n := Node{Name: fmt.Sprintf("n%d", i), UID: fmt.Sprintf("u%d", i), PodCIDRs: []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/64", i)),
	}}
	if strings.Contains(families, "4") {
		n.Addresses = append(n.Addresses, netip.MustParseAddr(fmt.Sprintf("192.168.7.%d", i)))
	}
	if strings.Contains(families, "6") {
		n.Addresses = append(n.Addresses, netip.MustParseAddr(fmt.Sprintf("fd07::%d", i)))
	}
	return n
}

// applied is the state after a plan was carried out, as the kernel would have it.
func applied(s *state, p plan) *state {
	after := *s
	after.sysctls = map[string]string{}
	for k, v := range s.sysctls {
		after.sysctls[k] = v
	}
	for _, c := range slices.Concat(p.sysctls, p.deviceSysctls) {
		after.sysctls[c.path] = c.value
	}
	after.routes = slices.Clone(s.routes)
	after.addresses = slices.Clone(s.addresses)
	loseDevice := func() {
		after.routes = slices.DeleteFunc(after.routes, func(r route.Route) bool { return r.Device == tunnelDevice || r.Source.IsValid() })
		after.addresses = slices.DeleteFunc(after.addresses, func(a link.Address) bool { return a.Index == s.device.Index })
	}
	if p.drop {
		loseDevice()
		after.deviceFound, after.device = false, route.Device{}
	}
	if p.make {
		after.deviceFound, after.device = true, route.Device{Index: 77, MTU: p.device.MTU, Up: true, Fits: true}
	}
	if p.mtu != 0 {
		after.device.MTU = p.mtu
	}
	if p.up {
		after.device.Up = true
		after.routes = slices.DeleteFunc(after.routes, func(r route.Route) bool { return r.Device == tunnelDevice })
	}
	for _, a := range p.addAddresses {
		after.addresses = append(after.addresses, link.Address{Index: after.device.Index, Prefix: a})
	}
	for _, r := range p.replaceRoutes {
		after.routes = slices.DeleteFunc(after.routes, func(o route.Route) bool { return o.Dst == r.Dst && o.Priority == r.Priority })
		after.routes = append(after.routes, r)
	}
	for _, r := range p.removeRoutes {
		after.routes = slices.DeleteFunc(after.routes, func(o route.Route) bool { return o == r })
	}
	for _, a := range p.removeAddresses {
		after.addresses = slices.DeleteFunc(after.addresses, func(o link.Address) bool { return o.Index == after.device.Index && o.Prefix == a })
		after.routes = slices.DeleteFunc(after.routes, func(r route.Route) bool { return r.Source == a.Addr() })
	}
	return &after
}

func TestPlanFromNothing(t *testing.T) {
	p := decide(config(t, Config{}), "n1", []Node{testNode(1, "46"), testNode(2, "46"), testNode(3, "6")}, nodeState())
	want := strings.TrimSpace(`
set net/ipv4/ip_forward=1
set net/ipv6/conf/eth0/accept_ra=2
set net/ipv6/conf/all/forwarding=1
make device tsu-vx port 4790 mtu 1464
set net/ipv4/conf/tsu-vx/rp_filter=0
set net/ipv6/conf/tsu-vx/disable_ipv6=0
add address 10.244.1.1/32
add address fd00:1::1/128
replace route unreachable 10.244.1.0/24 metric 1073741824
replace route unreachable fd00:1::/64 metric 1073741824
replace route 10.244.2.0/24 encap ip id 1 src 192.168.7.1 dst 192.168.7.2 dev #-1 src 10.244.1.1
replace route fd00:2::/64 encap ip id 1 src 192.168.7.1 dst 192.168.7.2 dev #-1 src fd00:1::1
replace route 10.244.3.0/24 encap ip6 id 1 src fd07::1 dst fd07::3 dev #-1 src 10.244.1.1 mtu 1444
replace route fd00:3::/64 encap ip6 id 1 src fd07::1 dst fd07::3 dev #-1 src fd00:1::1 mtu 1444`)
	if got := p.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if p.wanted.podMTU != 1464 || p.wanted.underlay != "eth0" || p.wanted.reached != 2 {
		t.Errorf("%+v", p.wanted)
	}
}

func TestProblems(t *testing.T) {
	same, inside, around, lost := testNode(3, "4"), testNode(4, "4"), testNode(5, "4"), testNode(6, "")
	same.PodCIDRs = testNode(2, "").PodCIDRs
	inside.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.244.1.128/25")}
	around.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	p := decide(config(t, Config{}), "n1", []Node{lost, around, inside, same, testNode(2, "4"), testNode(1, "4")}, nodeState())
	all := strings.Join(p.wanted.problems, "\n")
	for _, want := range []string{
		"Nodes n2 and n3 both have the podCIDR 10.244.2.0/24", "10.244.1.128/25 of Node n4 overlaps",
		"podCIDR 192.168.0.0/16 of Node n5 contains a node's address", "Node n6 ([]) has no InternalIP of a family",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in:\n%s", want, all)
		}
	}
	if p.wanted.reached != 1 {
		t.Errorf("%d nodes reached, want n2 alone", p.wanted.reached)
	}
	far := testNode(2, "4")
	far.Addresses = []netip.Addr{netip.MustParseAddr("172.16.0.2")}
	p = decide(config(t, Config{Encap: None}), "n1", []Node{testNode(1, "4"), far}, nodeState())
	if len(p.wanted.problems) != 2 || !strings.Contains(p.wanted.problems[0], "use encap auto") || p.make {
		t.Errorf("%v\n%s", p.wanted.problems, p)
	}
	s := nodeState()
	s.sysctls[allRPFilter] = "1"
	p = decide(config(t, Config{Encap: Auto}), "n1", []Node{testNode(1, "4")}, s)
	if len(p.wanted.problems) != 1 || !strings.Contains(p.wanted.problems[0], "rp_filter") {
		t.Errorf("%v", p.wanted.problems)
	}
}

// A node known by an address that is on no interface, as behind a translator, or on the loopback one.
func TestUnderlayByDefaultRoute(t *testing.T) {
	me := testNode(1, "")
	me.Addresses = []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	s := nodeState()
	s.links[1].MTU = 9000
	s.defaults[false] = 2
	p := decide(config(t, Config{}), "n1", []Node{me}, s)
	if p.missing != "" || p.wanted.podMTU != 8964 || len(p.wanted.problems) != 1 {
		t.Errorf("%q, %+v", p.missing, p.wanted)
	}
	s.addresses = append(s.addresses, link.Address{Index: 1, Prefix: netip.MustParsePrefix("198.51.100.1/32")})
	if p = decide(config(t, Config{}), "n1", []Node{me}, s); p.wanted.podMTU != 8964 || len(p.wanted.problems) != 0 {
		t.Errorf("%+v", p.wanted)
	}
	s.defaults, s.addresses = map[bool]int{}, nodeState().addresses
	if p = decide(config(t, Config{}), "n1", []Node{me}, s); p.missing == "" {
		t.Errorf("%+v", p)
	}
}

// nodesGen makes clusters in which things go wrong at times: prefixes taken twice, missing addresses, other segments.
func nodesGen(t *rapid.T) []Node {
	nodes := []Node{testNode(1, rapid.SampledFrom([]string{"46", "4", "6", "46"}).Draw(t, "own families"))}
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(2, 9), 0, 6, rapid.ID[int]).Draw(t, "others") {
		n := testNode(i, rapid.SampledFrom([]string{"46", "4", "6", ""}).Draw(t, "families"))
		switch rapid.IntRange(0, 7).Draw(t, "kind") {
		case 0:
			n.PodCIDRs = testNode(rapid.IntRange(1, 9).Draw(t, "prefix of"), "").PodCIDRs
		case 1:
			n.PodCIDRs = n.PodCIDRs[:1]
		case 2:
			n.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/22")}
		case 3:
			for k, a := range n.Addresses {
				if a.Is4() {
					n.Addresses[k] = netip.MustParseAddr(fmt.Sprintf("172.16.0.%d", i))
				}
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func stateGen(t *rapid.T, cfg Config) *state {
	s := nodeState()
	if rapid.Bool().Draw(t, "was here before") {
		s = applied(s, decide(cfg, "n1", nodesGen(t), s))
	}
	if s.deviceFound && rapid.IntRange(0, 3).Draw(t, "device") == 0 {
		s.device.Fits = rapid.Bool().Draw(t, "fits")
		s.device.Up = rapid.Bool().Draw(t, "up")
		s.device.MTU = 1300
	}
	for range rapid.IntRange(0, 3).Draw(t, "strays") {
		r := route.Route{Dst: testNode(rapid.IntRange(1, 9).Draw(t, "dst"), "").PodCIDRs[rapid.IntRange(0, 1).Draw(t, "family")], Kind: route.Unicast,
			Priority: rapid.IntRange(0, 1).Draw(t, "metric"), Odd: rapid.Bool().Draw(t, "odd"), Device: 2, Gateway: netip.MustParseAddr("192.168.7.99")}
		if s.deviceFound && rapid.Bool().Draw(t, "by tunnel") {
			r.Device, r.Gateway, r.Tunnel = tunnelDevice, netip.Addr{}, route.Tunnel{VNI: 5, Remote: netip.MustParseAddr("192.168.7.98")}
		}
		if !slices.Contains(s.routes, r) {
			s.routes = append(s.routes, r)
		}
	}
	s.links[1].MTU = rapid.SampledFrom([]int{1500, 9000, 1400}).Draw(t, "mtu")
	return s
}

// From any state one plan leads to where the next one has nothing to do, the order of nodes does not matter, and every address is
// sent where a simple reading of the list of nodes says.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, err := Config{Encap: rapid.SampledFrom([]Encap{GPE, None, Auto}).Draw(t, "encap"), Masquerade: true}.complete()
		if err != nil {
			t.Fatal(err)
		}
		have := stateGen(t, cfg)
		nodes := nodesGen(t)
		p := decide(cfg, "n1", nodes, have)
		after := applied(have, p)
		if again := decide(cfg, "n1", nodes, after); again.changes() != 0 {
			t.Fatalf("after\n%s\nthere is more to do:\n%s", p, again)
		}
		other := slices.Clone(nodes)
		slices.Reverse(other)
		if q := decide(cfg, "n1", other, have); q.String() != p.String() {
			t.Fatalf("the order of nodes matters:\n%s\nand\n%s", p, q)
		}
		for i := 1; i <= 9; i++ {
			for _, prefix := range testNode(i, "").PodCIDRs {
				a := prefix.Addr().Next().Next()
				if got, want := lookup(after.routes, a), oracle(cfg, nodes, a); got != want {
					t.Fatalf("%s is sent %q, want %q\nroutes %v\nproblems %v", a, got, want, after.routes, p.wanted.problems)
				}
			}
		}
	})
}

// lookup is longest-prefix match, then the lowest metric.
func lookup(routes []route.Route, a netip.Addr) string {
	fits := slices.DeleteFunc(slices.Clone(routes), func(r route.Route) bool { return !r.Dst.Contains(a) })
	if len(fits) == 0 {
		return "away"
	}
	r := slices.MinFunc(fits, func(a, b route.Route) int {
		return cmp.Or(b.Dst.Bits()-a.Dst.Bits(), a.Priority-b.Priority)
	})
	switch {
	case r.Kind == route.Unreachable:
		return "nowhere"
	case r.Gateway.IsValid():
		return "to " + r.Gateway.String()
	}
	return "in a tunnel to " + r.Tunnel.Remote.String()
}

// oracle reads the list of nodes the slow way: for this address, who has it, and how does one get there?
func oracle(cfg Config, nodes []Node, a netip.Addr) string {
	me := nodes[0]
	v6 := a.Is6()
	ordered := slices.Clone(nodes[1:])
	slices.SortFunc(ordered, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	mine, _ := me.podCIDR(v6)
	if mine.Contains(a) {
		return "nowhere"
	}
	best, how := -1, "away"
	claimed := map[netip.Prefix]bool{mine: true}
	for _, n := range ordered {
		cidr, ok := n.podCIDR(v6)
		if !ok || claimed[cidr] || cidr.Overlaps(mine) {
			continue
		}
		way := wayTo(cfg, me, n, v6)
		if way == "" {
			continue
		}
		claimed[cidr] = true
		if cidr.Contains(a) && cidr.Bits() > best {
			best, how = cidr.Bits(), way
		}
	}
	return how
}

func wayTo(cfg Config, me, n Node, v6 bool) string {
	segments := []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("fd07::/64")}
	if cfg.Encap != GPE {
		for _, a := range slices.Concat(filter(n.Addresses, v6), filter(n.Addresses, true)) {
			if segments[0].Contains(a) || segments[1].Contains(a) {
				return "to " + a.String()
			}
		}
		if cfg.Encap == None {
			return ""
		}
	}
	for _, mine := range me.Addresses {
		for _, theirs := range filter(n.Addresses, mine.Is6()) {
			return "in a tunnel to " + theirs.String()
		}
	}
	return ""
}

func filter(all []netip.Addr, v6 bool) (some []netip.Addr) {
	for _, a := range all {
		if a.Is6() == v6 {
			some = append(some, a)
		}
	}
	return some
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		c     Config
		wrong string
	}{
		{Config{}, ""}, {Config{VNI: 1 << 24}, "VNI"}, {Config{VNI: -1}, "VNI"}, {Config{Port: 65536}, "port"}, {Config{MTU: 1000}, "MTU"},
		{Config{MTU: 1450, Port: 8472, VNI: 7, Encap: Auto}, ""}, {Config{Encap: "ipip"}, `encap "ipip"`},
	} {
		got, err := c.c.complete()
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %v", c.c, err)
		}
		if err == nil && (got.VNI == 0 || got.Port == 0 || got.Encap == "") {
			t.Errorf("%+v is not complete", got)
		}
	}
}
