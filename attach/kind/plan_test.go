package kind

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		name := HostName("c", fmt.Sprint(i))
		if !isHostName(name) || !ValidName(name) || len(name) > 15 || seen[name] {
			t.Errorf("%q", name)
		}
		seen[name] = true
	}
	if HostName("a", "bc") == HostName("ab", "c") {
		t.Error("two keys, one name")
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a b", "a:b", "a%d", "0123456789abcdef", "tab\t"} {
		if ValidName(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
	for _, other := range []string{"tsu-vx", "tsu0123456789", "tsu0123456789g", "up1"} {
		if isHostName(other) {
			t.Errorf("%q is taken for one of ours", other)
		}
	}
}

func TestDerivedMAC(t *testing.T) {
	a := &Attachment{ContainerID: "c", IfName: "net1"}
	bare := derivedMAC(a)
	a.Addresses = []Address{{Prefix: netip.MustParsePrefix("fd00::5/64")}}
	six := derivedMAC(a)
	a.ContainerID = "d"
	if derivedMAC(a).String() != six.String() {
		t.Error("an IPv6 address that is used again gets another MAC")
	}
	a.Addresses = append(a.Addresses, Address{Prefix: netip.MustParsePrefix("10.1.2.3/24")})
	if got := derivedMAC(a).String(); got != "0a:58:0a:01:02:03" {
		t.Errorf("MAC %s", got)
	}
	for _, mac := range []string{bare.String(), six.String()} {
		if _, err := ParseMAC(mac); err != nil || !strings.ContainsRune("26ae", rune(mac[1])) {
			t.Errorf("%s is not a local single address: %v", mac, err)
		}
	}
}

// drawAttachments makes a sandbox with up to five interfaces whose routes get in each other's way.
func drawAttachments(t *rapid.T) []Attachment {
	var as []Attachment
	for i := range rapid.IntRange(1, 5).Draw(t, "interfaces") {
		spec := rapid.SampledFrom([]Spec{Pod{}, PTP{}, Macvlan{Mode: "bridge"}, Bridge{Name: "b"}}).Draw(t, "kind")
		a := Attachment{ContainerID: "c", IfName: fmt.Sprintf("net%d", i), Spec: spec}
		a.Addresses = append(a.Addresses, Address{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.%d.2/24", i))})
		if rapid.Bool().Draw(t, "gateway") {
			a.Addresses[0].Gateway = netip.MustParseAddr(fmt.Sprintf("10.0.%d.1", i))
		}
		if rapid.Bool().Draw(t, "v6") {
			a.Addresses = append(a.Addresses, Address{Prefix: netip.MustParsePrefix(fmt.Sprintf("fd00:%d::2/64", i))})
		}
		for range rapid.IntRange(0, 4).Draw(t, "routes") {
			a.Routes = append(a.Routes, Route{
				Dst:      netip.MustParsePrefix(rapid.SampledFrom([]string{"0.0.0.0/0", "::/0", "10.96.0.0/12", "10.0.1.0/24", "172.16.5.1/12", "fd00:9::/64"}).Draw(t, "dst")),
				Priority: rapid.SampledFrom([]int{0, 0, 100}).Draw(t, "priority"),
				Table:    rapid.SampledFrom([]int{0, 0, 0, 100}).Draw(t, "table"),
			})
		}
		if rapid.IntRange(0, 3).Draw(t, "owner") == 0 {
			a.DefaultRoute = spec.DefaultGateways(a.Addresses)
		}
		as = append(as, a)
	}
	return as
}

// Whatever is asked for, every destination has one interface, a family has a default route exactly when somebody asks for one, and it
// is the one who was told to have it.
func TestRoutesHaveOneOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as := drawAttachments(t)
		jobs, err := plan(as)
		told := [2][]string{}
		asked := [2]bool{}
		for _, a := range as {
			for _, gw := range a.DefaultRoute {
				told[family(gw)] = append(told[family(gw)], a.IfName)
			}
			for _, r := range a.Routes {
				if r.Dst.Bits() == 0 && r.Table == 0 {
					asked[family(r.Dst.Addr())] = true
				}
			}
		}
		if len(told[0]) > 1 || len(told[1]) > 1 {
			if err == nil {
				t.Fatalf("two owners: %v", told)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		owners := [2]map[string]bool{{}, {}}
		seen := map[string]bool{}
		for _, j := range jobs {
			for _, r := range j.routes {
				key := fmt.Sprint(r.Dst, r.Table, r.Priority)
				if seen[key] || r.Dst != r.Dst.Masked() {
					t.Errorf("route %s twice, or with host bits", key)
				}
				seen[key] = true
				if r.Dst.Bits() == 0 && r.Table == 0 {
					owners[family(r.Dst.Addr())][j.IfName] = true
				}
			}
		}
		for f := range 2 {
			if want := len(told[f]) > 0 || asked[f]; len(owners[f]) > 1 || want != (len(owners[f]) == 1) {
				t.Errorf("family %d: owners %v, told %v, asked %v", f, owners[f], told[f], asked[f])
			}
			if len(told[f]) == 1 && !owners[f][told[f][0]] {
				t.Errorf("family %d: owners %v, told %v", f, owners[f], told[f])
			}
		}
	})
}

func TestRoutesGetTheirGateway(t *testing.T) {
	link := scopeLink
	a := Attachment{ContainerID: "c", IfName: "net1", Spec: Macvlan{Mode: "bridge"},
		Addresses: []Address{{Prefix: netip.MustParsePrefix("10.0.1.2/24"), Gateway: netip.MustParseAddr("10.0.1.1")}, {Prefix: netip.MustParsePrefix("fd00::2/64")}},
		Routes: []Route{
			{Dst: netip.MustParsePrefix("10.96.0.0/12")},
			{Dst: netip.MustParsePrefix("10.0.1.0/24")}, // comes with the address
			{Dst: netip.MustParsePrefix("172.16.0.0/12"), Scope: &link},
			{Dst: netip.MustParsePrefix("192.168.0.0/16"), Gateway: netip.MustParseAddr("10.0.1.9")},
			{Dst: netip.MustParsePrefix("fd01::/64")},
		}}
	jobs, err := plan([]Attachment{a})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range jobs[0].routes {
		got = append(got, r.Dst.String()+" "+routeText(r.Gateway))
	}
	want := "10.96.0.0/12 via 10.0.1.1, 172.16.0.0/12 on-link, 192.168.0.0/16 via 10.0.1.9, fd01::/64 on-link"
	if strings.Join(got, ", ") != want {
		t.Errorf("routes %s\nwant %s", strings.Join(got, ", "), want)
	}
}
