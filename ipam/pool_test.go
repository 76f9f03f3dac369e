package ipam

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func object(s v1alpha1.Subnet) v1alpha1.IPPool {
	return v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1alpha1.IPPoolSpec{Domain: "blue", Subnet: s}}
}

func TestWhatAPoolGivesOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		subnet v1alpha1.Subnet
		want   string
	}{
		{"network and broadcast address are kept", v1alpha1.Subnet{CIDR: "192.168.10.0/30"}, "192.168.10.1-192.168.10.2"},
		{"a /31 has two hosts (RFC 3021)", v1alpha1.Subnet{CIDR: "192.168.10.0/31"}, "192.168.10.0-192.168.10.1"},
		{"a /32 has one", v1alpha1.Subnet{CIDR: "192.168.10.7/32"}, "192.168.10.7"},
		{"the anycast address is kept", v1alpha1.Subnet{CIDR: "fd00::/126"}, "fd00::1-fd00::3"},
		{"a /127 has two hosts (RFC 6164)", v1alpha1.Subnet{CIDR: "fd00::/127"}, "fd00::-fd00::1"},
		{"a /128 has one", v1alpha1.Subnet{CIDR: "fd00::7/128"}, "fd00::7"},
		{"the gateway is kept", v1alpha1.Subnet{CIDR: "10.0.0.0/29", Gateway: "10.0.0.3"}, "10.0.0.1-10.0.0.2, 10.0.0.4-10.0.0.6"},
		{"ranges and excludes", v1alpha1.Subnet{CIDR: "10.0.0.0/24", Ranges: []string{"10.0.0.10-10.0.0.20", "10.0.0.64/29"}, Exclude: []string{"10.0.0.12", "10.0.0.15-10.0.0.16", "10.0.0.64/30"}},
			"10.0.0.10-10.0.0.11, 10.0.0.13-10.0.0.14, 10.0.0.17-10.0.0.20, 10.0.0.68-10.0.0.71"},
		{"ranges that overlap", v1alpha1.Subnet{CIDR: "10.0.0.0/24", Ranges: []string{"10.0.0.10-10.0.0.20", "10.0.0.15-10.0.0.30", "10.0.0.31"}}, "10.0.0.10-10.0.0.31"},
		{"a range that reaches to the ends", v1alpha1.Subnet{CIDR: "10.0.0.0/24", Ranges: []string{"10.0.0.0/30", "10.0.0.254-10.0.0.255"}}, "10.0.0.1-10.0.0.3, 10.0.0.254"},
		{"everything", v1alpha1.Subnet{CIDR: "255.255.255.252/30"}, "255.255.255.253-255.255.255.254"},
	} {
		p, err := ParsePool(object(c.subnet))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := list(p.spans); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestParsePoolSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		subnet v1alpha1.Subnet
		want   []string
	}{
		{v1alpha1.Subnet{CIDR: "10.0.0.0"}, []string{"spec.cidr", "10.0.0.0", "prefix length"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/33"}, []string{"spec.cidr", "32"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.7/24"}, []string{"spec.cidr", "10.0.0.0/24"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Ranges: []string{"10.0.0.1-10.0.0.5", "10.0.1.1-10.0.1.5"}}, []string{"spec.ranges[1]", "10.0.1.1-10.0.1.5", "outside"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Ranges: []string{"10.0.0.9-10.0.0.5"}}, []string{"spec.ranges[0]", "lower address first"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Exclude: []string{"fd00::1"}}, []string{"spec.exclude[0]", "family"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Exclude: []string{"ten"}}, []string{"spec.exclude[0]", `"ten" is not an IP address`}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Gateway: "10.0.1.1"}, []string{"spec.gateway", "10.0.1.1", "outside", "10.0.0.0/24"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Routes: []v1alpha1.Route{{Dst: "10.0.0.0"}}}, []string{"spec.routes[0].dst", "prefix length"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Routes: []v1alpha1.Route{{Dst: "0.0.0.0/0", GW: "fe80::1"}}}, []string{"spec.routes[0].gw", "fe80::1", "family"}},
		{v1alpha1.Subnet{CIDR: "10.0.0.0/24", Routes: []v1alpha1.Route{{Dst: "::/0"}}}, []string{"spec.routes[0].dst", "family"}},
	} {
		_, err := ParsePool(object(c.subnet))
		if err == nil {
			t.Errorf("%+v: no error, want one with %v", c.subnet, c.want)
			continue
		}
		for _, word := range append(c.want, "IPPool blue") {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
	}
	pods := object(v1alpha1.Subnet{CIDR: "10.0.0.0/24"})
	pods.Spec.Domain = PodDomain
	if _, err := ParsePool(pods); err == nil {
		t.Error("the domain of the pod network is accepted")
	}
}

func TestPoolRefusesByName(t *testing.T) {
	p, err := ParsePool(object(v1alpha1.Subnet{CIDR: "10.0.0.0/24", Ranges: []string{"10.0.0.0-10.0.0.100"}, Gateway: "10.0.0.1", Exclude: []string{"10.0.0.50-10.0.0.60"}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ addr, reason, word string }{
		{"10.0.0.2", "", ""},
		{"10.0.1.2", OutOfRange, "outside the subnet 10.0.0.0/24"},
		{"fd00::1", OutOfRange, "outside the subnet"},
		{"10.0.0.101", OutOfRange, "10.0.0.0-10.0.0.100"},
		{"10.0.0.1", Excluded, "gateway"},
		{"10.0.0.0", Excluded, "network address"},
		{"10.0.0.255", Excluded, "broadcast"},
		{"10.0.0.55", Excluded, "excluded by 10.0.0.50-10.0.0.60"},
	} {
		err := p.Refuse(netip.MustParseAddr(c.addr))
		if ReasonOf(err) != c.reason || err != nil && (!strings.Contains(err.Error(), c.word) || !strings.Contains(err.Error(), "ask for one of")) {
			t.Errorf("%s: got %v, want reason %q with %q", c.addr, err, c.reason, c.word)
		}
	}
}

// The block masks of a pool and Contains agree with a set of addresses made
// the slow way.
func TestMaskIsTheSlowSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		six := rapid.Bool().Draw(t, "six")
		base := netip.MustParseAddr("10.1.254.0")
		if six {
			base = netip.MustParseAddr("fd00::fe00")
		}
		at := func(n int) netip.Addr { return nth(base, n) }
		draw := func(name string) []Range {
			var out []Range
			for range rapid.IntRange(0, 4).Draw(t, name) {
				first := rapid.IntRange(0, 511).Draw(t, "first")
				out = append(out, Range{at(first), at(rapid.IntRange(first, 511).Draw(t, "last"))})
			}
			return out
		}
		p := Pool{Prefix: netip.PrefixFrom(base, base.BitLen()-9), Ranges: draw("ranges"), Exclude: draw("exclude")}
		if rapid.Bool().Draw(t, "gateway") {
			p.Gateway = at(rapid.IntRange(0, 511).Draw(t, "gw"))
		}
		p = p.parsed()
		slow := map[int]bool{}
		total := 0
		for n := range 512 {
			x := at(n)
			in := len(p.Ranges) == 0
			for _, r := range p.Ranges {
				in = in || r.First.Compare(x) <= 0 && x.Compare(r.Last) <= 0
			}
			for _, r := range p.Exclude {
				in = in && !(r.First.Compare(x) <= 0 && x.Compare(r.Last) <= 0)
			}
			in = in && x != p.Gateway && n != 0 && (six || n != 511)
			slow[n] = in
			if in {
				total++
			}
			if p.Contains(x) != in || (p.Refuse(x) == nil) != in {
				t.Fatalf("%v: Contains %v, Refuse %v, want %v", x, p.Contains(x), p.Refuse(x), in)
			}
		}
		if p.Size() != int64(total) {
			t.Fatalf("Size %d, want %d", p.Size(), total)
		}
		unit := 1 << rapid.IntRange(0, 6).Draw(t, "unit")
		for n := 0; n < 512; n += unit {
			b := blockOf(at(n), unit)
			m := p.mask(b)
			for i := range unit {
				if (m&(1<<i) != 0) != slow[n+i] {
					t.Fatalf("block %v place %d: %v, want %v", b, i, m&(1<<i) != 0, slow[n+i])
				}
			}
			if unit < 64 && m>>unit != 0 {
				t.Fatalf("block %v: mask %x reaches beyond it", b, m)
			}
		}
	})
}

func nth(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

func TestUnit(t *testing.T) {
	for _, c := range []struct {
		f    int64
		n    int
		want int
	}{
		{65534, 50, 64}, {1022, 50, 8}, {254, 50, 2}, {14, 50, 1}, {62, 3, 8}, {254, 3, 32}, {1, 1, 1}, {0, 1, 1}, {1 << 62, 5000, 64}, {2, 1, 1}, {254, 0, 64},
	} {
		if got := unitFor(c.f, c.n); got != c.want {
			t.Errorf("%d addresses over %d nodes: %d, want %d", c.f, c.n, got, c.want)
		}
	}
}

// Names are injective, valid, and never cut.
func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, domain := range []string{"", "blue", "Blue", "a.b", "x--blue", "pods", "red net", strings.Repeat("a", 63), strings.Repeat("a", 64), "default-"} {
		d := domainOf(domain)
		if !isLabel(d) || d == PodDomain {
			t.Errorf("domain of %q is %q", domain, d)
		}
		for _, addr := range []string{"10.1.2.3", "10.12.0.3", "fd00::1", "fd00::10", "::ffff:0:1"} {
			name := objectName(d, netip.MustParseAddr(addr))
			if len(name) > 253 {
				t.Errorf("%s has %d characters", name, len(name))
			}
			for _, label := range strings.Split(name, ".") {
				if !isLabel(label) {
					t.Errorf("%s: %q is no label", name, label)
				}
			}
			if who := domain + "|" + addr; seen[name] != "" {
				t.Errorf("%s is the name of %s and %s", name, seen[name], who)
			} else {
				seen[name] = who
			}
		}
	}
	long := PoolName(strings.Repeat("n", 60), netip.MustParsePrefix("fd00:1:2:3::/64"))
	if len(long) > 63 || !isLabel(long) || long == PoolName(strings.Repeat("n", 60), netip.MustParsePrefix("fd00:1:2:4::/64")) {
		t.Errorf("name of a pool: %s", long)
	}
	if got := PoolName("blue", netip.MustParsePrefix("192.168.10.0/24")); got != "blue-192-168-10-0-24" {
		t.Error(got)
	}
}

func TestObjectsRoundTrip(t *testing.T) {
	b := Block{Meta: Meta{"blue.10-0-0-0", "u", "7"}, Domain: "blue", Prefix: netip.MustParsePrefix("10.0.0.0/26"), Node: "n", NodeUID: "nu", State: v1alpha1.BlockOwned,
		Holes: 1<<63 | 1, Used: 0xff00, UsedCount: 8, Requests: []HoleRequest{{Address: netip.MustParseAddr("10.0.0.9"), Answer: "in use", Any: true}}}
	got, err := BlockFrom(b.Object())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(b) {
		t.Errorf("got %v, %v\nwant %v", got, err, b)
	}
	a := Address{Meta: Meta{"blue.10-0-0-9", "u", "7"}, Domain: "blue", Address: netip.MustParseAddr("10.0.0.9"), Pool: "p", Node: "n", NodeUID: "nu",
		Owner: Owner{Key: Key{"c", "net1"}, Namespace: "ns", Pod: "pod", UID: "pu"}}
	if got, err := AddressFrom(a.Object()); err != nil || got != a {
		t.Errorf("got %v, %v\nwant %v", got, err, a)
	}
	r := newRegion("blue", netip.MustParsePrefix("10.0.0.0/24"), 8)
	r.Draining = true
	if got, err := RegionFrom(r.Object()); err != nil || got != r {
		t.Errorf("got %v, %v\nwant %v", got, err, r)
	}
}
