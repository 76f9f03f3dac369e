package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

func ipPool(name, cidr string, ranges ...string) v1alpha1.IPPool {
	return v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 2},
		Spec: v1alpha1.IPPoolSpec{Domain: "blue", Subnet: v1alpha1.Subnet{CIDR: cidr, Ranges: ranges}}}
}

// block is a block of the domain whose addresses at places are in use.
func block(domain, cidr string, places ...int) v1alpha1.IPBlock {
	b := ipam.Block{Domain: domain, Prefix: netip.MustParsePrefix(cidr), Node: "n1", NodeUID: "u1", State: v1alpha1.BlockOwned}
	for _, p := range places {
		b.Used |= 1 << p
	}
	o := b.Object()
	o.Name = domain + "." + cidr
	return *o
}

func address(domain, a string) v1alpha1.IPAddress {
	return v1alpha1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: domain + "." + a},
		Spec: v1alpha1.IPAddressSpec{Domain: domain, Address: a, Owner: v1alpha1.AddressOwner{Node: "n1", NodeUID: "u1"}}}
}

func TestCountPool(t *testing.T) {
	holed := block("blue", "10.0.0.64/28", 0, 5)
	holed.Spec.Holes = "20" // place 5 belongs to an IPAddress
	broken := block("blue", "10.0.0.0/26", 1)
	broken.Spec.Used = "zz"
	for _, c := range []struct {
		name      string
		pool      v1alpha1.IPPool
		blocks    []v1alpha1.IPBlock
		addresses []v1alpha1.IPAddress
		want      string
	}{
		{"empty", ipPool("p", "10.0.0.0/24"), nil, nil, "0 0 0 []"},
		{"blocks", ipPool("p", "10.0.0.0/24"), []v1alpha1.IPBlock{block("blue", "10.0.0.0/26", 1, 2, 63), block("blue", "10.0.0.64/32", 0)}, nil, "4 0 2 []"},
		{"others' blocks", ipPool("p", "10.0.0.0/24"), []v1alpha1.IPBlock{block("red", "10.0.0.0/26", 1), block("blue", "10.0.1.0/26", 1)}, nil, "0 0 0 []"},
		{"one block, two pools", ipPool("p", "10.0.0.0/24", "10.0.0.1-10.0.0.3"), []v1alpha1.IPBlock{block("blue", "10.0.0.0/26", 1, 9)}, nil, "1 0 1 [10.0.0.9]"},
		{"static", ipPool("p", "10.0.0.0/24"), nil, []v1alpha1.IPAddress{address("blue", "10.0.0.7"), address("red", "10.0.0.8"), address("blue", "10.9.0.1")}, "1 1 0 []"},
		{"static inside a block", ipPool("p", "10.0.0.0/24"), []v1alpha1.IPBlock{holed}, []v1alpha1.IPAddress{address("blue", "10.0.0.69")}, "2 1 1 []"},
		{"static in a block that says so too", ipPool("p", "10.0.0.0/24"), []v1alpha1.IPBlock{block("blue", "10.0.0.0/26", 7)}, []v1alpha1.IPAddress{address("blue", "10.0.0.7")}, "1 1 1 []"},
		{"IPv6", ipPool("p", "fd00::/64"), []v1alpha1.IPBlock{block("blue", "fd00::40/122", 0, 1)}, []v1alpha1.IPAddress{address("blue", "fd00::9")}, "3 1 1 []"},
		{"the end of the space", ipPool("p", "255.255.255.0/24"), []v1alpha1.IPBlock{block("blue", "255.255.255.192/26", 62)}, nil, "1 0 1 []"},
		{"nonsense", ipPool("p", "10.0.0.0/24"), []v1alpha1.IPBlock{broken}, []v1alpha1.IPAddress{address("blue", "x")}, "0 0 0 []"},
	} {
		got := countPool(must[ipam.Pool](t)(ipam.ParsePool(c.pool)), c.blocks, c.addresses)
		if s := fmt.Sprint(got.Used, got.Static, got.Blocks, got.Outside); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

// Addresses of staticRanges are used, and are none of those that are free.
func TestStaticRangesDoNotCountAsFree(t *testing.T) {
	p := ipPool("p", "10.0.0.0/29", "10.0.0.1-10.0.0.3")
	p.Spec.StaticRanges = []string{"10.0.0.4-10.0.0.6"}
	strange := address("blue", "10.0.0.3")
	strange.Spec.Quarantine, strange.Spec.Owner = &v1alpha1.AddressQuarantine{MAC: "02:00:00:00:00:01", Seconds: 60}, v1alpha1.AddressOwner{}
	parsed := must[ipam.Pool](t)(ipam.ParsePool(p))
	got := countPool(parsed, []v1alpha1.IPBlock{block("blue", "10.0.0.0/30", 1)}, []v1alpha1.IPAddress{address("blue", "10.0.0.4"), address("blue", "10.0.0.5"), strange})
	s, c := poolStatus(&p, parsed, nil, got, surroundings{}, true)
	if got := fmt.Sprint(s.Total, s.Used, s.Free, s.Static, s.Conflicts, " ", c.Reason); got != "3 4 1 3 1 Serving" {
		t.Errorf("total, used, free, static, conflicts: %s", got)
	}
}

func TestFallbacksThatAreOfNoUse(t *testing.T) {
	p := ipPool("p", "10.0.0.0/24")
	p.Spec.Fallback = []string{"p", "gone", "six", "fine"}
	got := fallbacks(must[ipam.Pool](t)(ipam.ParsePool(p)), []v1alpha1.IPPool{p, ipPool("six", "fd00::/64"), ipPool("fine", "10.1.0.0/24")})
	if len(got) != 3 || !strings.Contains(got[0], "itself") || !strings.Contains(got[1], "gone") || !strings.Contains(got[2], "six") {
		t.Errorf("says %q", got)
	}
}

func TestPoolStatus(t *testing.T) {
	p := ipPool("p", "10.0.0.0/29")
	parsed := must[ipam.Pool](t)(ipam.ParsePool(p))
	out := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	for _, c := range []struct {
		bad    error
		t      tally
		around surroundings
		wanted bool
		want   string
	}{
		{nil, tally{Used: 2, Taken: 2}, surroundings{}, true, "6 2 4 True Serving"},
		{nil, tally{Used: 6, Taken: 6, Namespaces: map[string]int64{"a": 1, "b": 3, "c": 3, "d": 1}}, surroundings{}, true, "6 6 0 True Full all 6 addresses are in use or bound; bound one by one most in namespaces b (3), c (3), a (1)"},
		{nil, tally{Used: 3, Taken: 2}, surroundings{}, true, "6 3 4 True Serving"},
		{nil, tally{}, surroundings{Fallback: []string{"fallback x does not exist and is passed over"}}, true, "6 0 6 True Serving fallback x"},
		{nil, tally{Used: 1, Taken: 1, Outside: out}, surroundings{}, true, "6 1 5 True UsedOutside 1 addresses outside the ranges are in use"},
		{nil, tally{Used: 1, Taken: 1}, surroundings{Overlaps: []string{"q"}}, true, "6 1 5 True Serving shares addresses with q"},
		{nil, tally{Used: 1, Taken: 1}, surroundings{}, false, "6 1 5 False Draining its Network no longer has this subnet"},
		{errors.New("cidr: nonsense"), tally{}, surroundings{}, true, "0 0 0 False Invalid cidr: nonsense"},
	} {
		s, cond := poolStatus(&p, parsed, c.bad, c.t, c.around, c.wanted)
		got := strings.TrimSpace(fmt.Sprint(s.Total, s.Used, s.Free, " ", cond.Status, " ", cond.Reason, " ", cond.Message))
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("says %q, want %q", got, c.want)
		}
	}
}

func TestOverlaps(t *testing.T) {
	p := ipPool("p", "10.0.0.0/24")
	other := ipPool("other", "10.0.0.128/25")
	red := ipPool("red", "10.0.0.0/24")
	red.Spec.Domain = "red"
	got := overlaps(&p, must[ipam.Pool](t)(ipam.ParsePool(p)), []v1alpha1.IPPool{p, other, red, ipPool("far", "10.1.0.0/24"), ipPool("bad", "x")})
	if fmt.Sprint(got) != "[other]" {
		t.Errorf("overlaps with %v", got)
	}
}
