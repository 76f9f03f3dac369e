package plan

import (
	"fmt"
	"testing"
)

func TestLabIsAlwaysTheSame(t *testing.T) {
	p, err := New("lab", Dual)
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"node1":    {"[172.30.0.11/24 fd00:30::11/64]", fmt.Sprint(p.Node(1))},
		"gateway":  {"[172.30.0.1 fd00:30::1]", fmt.Sprint(p.Gateway())},
		"subnets":  {"[172.30.0.0/24 fd00:30::/64]", fmt.Sprint(p.NodeSubnets())},
		"up1":      {"[192.168.101.254/24 fd00:101::fe/64]", fmt.Sprint(p.OutsideOn(Up1))},
		"up2":      {"[192.168.102.254/24 fd00:102::fe/64]", fmt.Sprint(p.OutsideOn(Up2))},
		"far":      {"[203.0.113.10/32 2001:db8:113::10/128]", fmt.Sprint(p.Far())},
		"dns":      {"[10.96.0.10 fd00:10:96::a]", fmt.Sprint(p.DNSService())},
		"mac":      {"02:74:73:00:01:02", p.MAC(Up1, 2).String()},
		"services": {"[10.96.0.0/16 fd00:10:96::/112]", fmt.Sprint(p.ServiceCIDRs())},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: want %s, have %s", what, pair[0], pair[1])
		}
	}
}

func TestFamiliesAreLeftOut(t *testing.T) {
	for family, want := range map[Family]string{IPv4: "[172.30.0.11/24]", IPv6: "[fd00:30::11/64]"} {
		p, _ := New("lab", family)
		if got := fmt.Sprint(p.Node(1)); got != want {
			t.Errorf("%s: want %s, have %s", family, want, got)
		}
	}
}

func TestOtherNamesGetOtherSubnets(t *testing.T) {
	a, _ := New("lab", Dual)
	b, _ := New("tlother", Dual)
	if a.NodeSubnets()[0] == b.NodeSubnets()[0] {
		t.Errorf("lab and tlother share %v", a.NodeSubnets()[0])
	}
}

func TestNamesThatCouldMeanTwoThings(t *testing.T) {
	for _, bad := range []string{"", "a-b", "Lab", "1lab", "muchtoolongname", "../x"} {
		if _, err := New(bad, Dual); err == nil {
			t.Errorf("lab name %q was taken", bad)
		}
	}
}

func TestEveryNodeFits(t *testing.T) {
	p, _ := New("lab", Dual)
	seen := map[string]bool{fmt.Sprint(p.OutsideOn(Eth0)): true}
	for n := 1; n <= MaxNodes; n++ {
		s := fmt.Sprint(p.Node(n))
		if seen[s] {
			t.Fatalf("node %d has the address of another: %s", n, s)
		}
		seen[s] = true
	}
}
