package controller

import (
	"strings"
	"testing"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func blue() *v1alpha1.Network {
	return &v1alpha1.Network{
		ObjectMeta: metav1.ObjectMeta{Name: "blue", UID: "uid-1", Generation: 3},
		Spec: v1alpha1.NetworkSpec{
			Reach:      &v1alpha1.Reach{Interface: "up1"},
			Attachment: v1alpha1.Attachment{Kind: "macvlan"},
			Subnets: []v1alpha1.Subnet{
				{CIDR: "192.168.101.0/24", Gateway: "192.168.101.254", Exclude: []string{"192.168.101.1-192.168.101.9"}},
				{CIDR: "fd00:101::/64", Gateway: "fd00:101::fe"},
			},
		},
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ownDefinition(t *testing.T, net *v1alpha1.Network, ns string) nadv1.NetworkAttachmentDefinition {
	return *must[*nadv1.NetworkAttachmentDefinition](t)(definition(net, ns))
}

// done puts a plan in words, to compare.
func done(p networkPlan) string {
	var words []string
	for _, o := range p.Create {
		words = append(words, "create "+title(o))
	}
	for _, o := range p.Update {
		words = append(words, "update "+title(o))
	}
	for _, o := range p.Delete {
		words = append(words, "delete "+title(o))
	}
	for _, c := range p.Conflicts {
		words = append(words, "conflict "+c.Kind+" "+c.Name)
	}
	for _, d := range p.Draining {
		words = append(words, "drain "+d)
	}
	return strings.Join(words, "; ")
}

func TestPlanNetwork(t *testing.T) {
	net := blue()
	four, six := *pool(net, net.Spec.Subnets[0]), *pool(net, net.Spec.Subnets[1])
	both := []v1alpha1.IPPool{four, six}
	in := func(namespaces ...string) []nadv1.NetworkAttachmentDefinition {
		var all []nadv1.NetworkAttachmentDefinition
		for _, ns := range namespaces {
			all = append(all, ownDefinition(t, net, ns))
		}
		return all
	}
	before := blue()
	before.UID = "uid-0"
	foreign := nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Name: "blue", Namespace: "a", Labels: labels(net)}}
	edited := in("a")
	edited[0].Spec.Config = "{}"
	unlabelled := in("a")
	unlabelled[0].Labels = map[string]string{"mine": "too"}
	shrunk := *four.DeepCopy()
	shrunk.Spec.Ranges = []string{"192.168.101.128/25"}
	gone := *pool(net, v1alpha1.Subnet{CIDR: "10.0.0.0/8"})
	users := *pool(net, net.Spec.Subnets[0])
	users.OwnerReferences = nil
	sized := *four.DeepCopy()
	sized.Spec.BlockSize = 4

	for _, c := range []struct {
		name       string
		namespaces []string
		defs       []nadv1.NetworkAttachmentDefinition
		pools      []v1alpha1.IPPool
		used       bool
		want       string
		count      int
	}{
		{"new", []string{"a", "b"}, nil, nil, false,
			"create IPPool blue-192-168-101-0-24; create IPPool blue-fd00-101-64; create NetworkAttachmentDefinition a/blue; create NetworkAttachmentDefinition b/blue", 2},
		{"all there", []string{"a", "b"}, in("a", "b"), both, false, "", 2},
		{"new namespace", []string{"a", "b"}, in("a"), both, false, "create NetworkAttachmentDefinition b/blue", 2},
		{"no longer permitted", []string{"a"}, in("a", "b"), both, false, "delete NetworkAttachmentDefinition b/blue", 1},
		{"somebody edited it", []string{"a"}, edited, both, false, "update NetworkAttachmentDefinition a/blue", 1},
		{"somebody took the label", []string{"a"}, unlabelled, both, false, "update NetworkAttachmentDefinition a/blue", 1},
		{"another's definition", []string{"a"}, []nadv1.NetworkAttachmentDefinition{foreign}, both, false, "conflict NetworkAttachmentDefinition blue", 0},
		{"another's definition, not permitted", nil, []nadv1.NetworkAttachmentDefinition{foreign}, both, false, "", 0},
		{"of a Network that was deleted before", []string{"a"}, []nadv1.NetworkAttachmentDefinition{ownDefinition(t, before, "a")}, both, false, "update NetworkAttachmentDefinition a/blue", 1},
		{"ranges changed", []string{"a"}, in("a"), []v1alpha1.IPPool{shrunk, six}, true, "update IPPool blue-192-168-101-0-24", 1},
		{"block size is the user's", []string{"a"}, in("a"), []v1alpha1.IPPool{sized, six}, true, "", 1},
		{"subnet removed, idle", []string{"a"}, in("a"), append(both, gone), false, "delete IPPool blue-10-0-0-0-8", 1},
		{"subnet removed, in use", []string{"a"}, in("a"), append(both, gone), true, "drain blue-10-0-0-0-8", 1},
		{"another's pool", []string{"a"}, in("a"), []v1alpha1.IPPool{users, six}, false, "conflict IPPool blue-192-168-101-0-24", 1},
	} {
		plan, err := planNetwork(net, c.namespaces, c.defs, c.pools, func(*v1alpha1.IPPool) bool { return c.used })
		if err != nil {
			t.Fatal(err)
		}
		if got := done(plan); got != c.want || plan.Namespaces != c.count {
			t.Errorf("%s: %d namespaces, %s\nwant %d, %s", c.name, plan.Namespaces, got, c.count, c.want)
		}
	}
}

func TestUpdateKeepsLabelsOfOthers(t *testing.T) {
	net := blue()
	old := ownDefinition(t, net, "a")
	old.Labels = map[string]string{"team": "x"}
	plan, err := planNetwork(net, []string{"a"}, []nadv1.NetworkAttachmentDefinition{old}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := plan.Update[0]
	if next.GetLabels()["team"] != "x" || next.GetLabels()[v1alpha1.NetworkLabel] != "blue" {
		t.Errorf("labels are %v", next.GetLabels())
	}
}

func TestPermitted(t *testing.T) {
	now := metav1.Now()
	namespaces := []metav1.PartialObjectMetadata{
		{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: map[string]string{"team": "x"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "ending", Labels: map[string]string{"team": "x"}, DeletionTimestamp: &now}},
	}
	for want, s := range map[string]*v1alpha1.NamespaceSelector{
		"a b": nil,
		"":    {},
		"a":   {Names: []string{"a", "absent"}},
		"b":   {Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "x"}}},
		"a b ": {Names: []string{"a"}, Selector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "In", Values: []string{"x", "y"}}}}},
		"a b  ": {Selector: &metav1.LabelSelector{}},
	} {
		net := blue()
		net.Spec.Namespaces = s
		got := must[[]string](t)(permitted(net, namespaces))
		if strings.Join(got, " ") != strings.TrimRight(want, " ") {
			t.Errorf("%+v permits %q, want %q", s, got, want)
		}
	}
	net := blue()
	net.Spec.Namespaces = &v1alpha1.NamespaceSelector{Selector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Perhaps"}}}}
	if _, err := permitted(net, namespaces); err == nil || !strings.Contains(err.Error(), "spec.namespaces.selector") {
		t.Errorf("a selector of nonsense: %v", err)
	}
}

func TestConfig(t *testing.T) {
	macvlan := blue()
	l2 := blue()
	l2.Spec.Subnets = nil
	l2.Spec.Attachment = v1alpha1.Attachment{Kind: "macvlan", Mode: "private", MTU: 1400}
	bridge := blue()
	bridge.Spec.Attachment = v1alpha1.Attachment{Kind: "bridge"}
	named := blue()
	named.Spec.Attachment = v1alpha1.Attachment{Kind: "bridge", Bridge: "br7"}
	named.Spec.Reach = nil
	device := blue()
	device.Spec.Attachment = v1alpha1.Attachment{Kind: "host-device"}
	ptp := blue()
	ptp.Spec.Attachment, ptp.Spec.Reach, ptp.Spec.Subnets = v1alpha1.Attachment{Kind: "ptp"}, nil, ptp.Spec.Subnets[:1]
	const head = `{"cniVersion":"1.0.0","name":"blue","type":"`
	const caps = `","capabilities":{"ips":true,"mac":true}`
	const ipams = `,"ipam":{"type":"tsunagu","pools":["blue-192-168-101-0-24","blue-fd00-101-64"]}}`
	for want, net := range map[string]*v1alpha1.Network{
		head + "macvlan" + caps + `,"master":"up1","mode":"bridge"` + ipams:                   macvlan,
		head + "macvlan" + caps + `,"mtu":1400,"master":"up1","mode":"private"}`:              l2,
		head + "bridge" + caps + `,"bridge":"tsub-blue","uplink":"up1"` + ipams:               bridge,
		head + "bridge" + caps + `,"bridge":"br7","isGateway":true` + ipams:                   named,
		head + "host-device" + caps + `,"device":"up1"` + ipams:                               device,
		head + "ptp" + caps + `,"ipam":{"type":"tsunagu","pools":["blue-192-168-101-0-24"]}}`: ptp,
	} {
		if got := ownDefinition(t, net, "a").Spec.Config; got != want {
			t.Errorf("config is\n%s\nwant\n%s", got, want)
		}
	}
}

func TestBridgeName(t *testing.T) {
	for network, want := range map[string]string{
		"green": "tsub-green", "ten-letter": "tsub-ten-letter",
	} {
		if got := bridgeName(network); got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
	long, other := bridgeName("a-very-long-name-of-a-network"), bridgeName("a-very-long-name-of-a-network2")
	if len(long) != 15 || long == other {
		t.Errorf("long names: %s and %s", long, other)
	}
}

func TestOwnerReference(t *testing.T) {
	d := ownDefinition(t, blue(), "a")
	if !metav1.IsControlledBy(&d, &metav1.ObjectMeta{UID: types.UID("uid-1")}) {
		t.Errorf("owners are %v", d.OwnerReferences)
	}
}

func TestVerdict(t *testing.T) {
	for want, p := range map[string]networkPlan{
		"True Published: published in 1 namespace":                                                                              {Namespaces: 1},
		"True Published: published in 3 namespaces":                                                                             {Namespaces: 3},
		"True Published: published in 2 namespaces; waiting until nothing uses the removed subnets of p":                        {Namespaces: 2, Draining: []string{"p"}},
		"False Conflict: NetworkAttachmentDefinition a/blue exists and was not made for this Network: rename it or the Network": {Conflicts: []conflict{{"NetworkAttachmentDefinition", "a", "blue", ""}}},
		"False Conflict: IPPool p exists and belongs to Network red: rename that or the Network":                                {Conflicts: []conflict{{"IPPool", "", "p", "Network red"}}},
	} {
		status, reason, message := verdict(p, nil)
		if got := string(status) + " " + reason + ": " + message; got != want {
			t.Errorf("says %q, want %q", got, want)
		}
	}
}

// How the addresses of a subnet are given out is the pool's as well, and
// follows when it is edited.
func TestPlanCarriesTheAddressPolicy(t *testing.T) {
	net := blue()
	net.Spec.Subnets[0].AddressPolicy = v1alpha1.AddressPolicy{
		StaticRanges: []string{"192.168.101.200-192.168.101.220"}, Order: v1alpha1.OrderCooldown, Cooldown: &metav1.Duration{Duration: time.Minute},
		NodeLoss: v1alpha1.OutOfService, Quotas: []v1alpha1.NamespaceQuota{{Namespace: "*", Max: 5}}, MACPrefix: "02:0a", Fallback: []string{"spare"},
	}
	made := pool(net, net.Spec.Subnets[0])
	if !equality.Semantic.DeepEqual(made.Spec.AddressPolicy, net.Spec.Subnets[0].AddressPolicy) {
		t.Errorf("made %+v", made.Spec.AddressPolicy)
	}
	have := []v1alpha1.IPPool{*made.DeepCopy(), *pool(net, net.Spec.Subnets[1])}
	unused := func(*v1alpha1.IPPool) bool { return false }
	if plan := must[networkPlan](t)(planNetwork(net, nil, nil, have, unused)); len(plan.Create)+len(plan.Update)+len(plan.Delete) != 0 {
		t.Errorf("plans %+v for nothing", plan)
	}
	for name, edit := range map[string]func(*v1alpha1.AddressPolicy){
		"quota":        func(p *v1alpha1.AddressPolicy) { p.Quotas = []v1alpha1.NamespaceQuota{{Namespace: "*", Max: 6}} },
		"cooldown":     func(p *v1alpha1.AddressPolicy) { p.Cooldown = &metav1.Duration{Duration: time.Hour} },
		"staticRanges": func(p *v1alpha1.AddressPolicy) { p.StaticRanges = nil },
		"fallback":     func(p *v1alpha1.AddressPolicy) { p.Fallback = append(p.Fallback, "other") },
	} {
		edited := net.DeepCopy()
		edit(&edited.Spec.Subnets[0].AddressPolicy)
		plan := must[networkPlan](t)(planNetwork(edited, nil, nil, have, unused))
		if len(plan.Update) != 1 {
			t.Errorf("%s: plans %+v", name, plan)
			continue
		}
		if got := plan.Update[0].(*v1alpha1.IPPool).Spec.AddressPolicy; !equality.Semantic.DeepEqual(got, edited.Spec.Subnets[0].AddressPolicy) {
			t.Errorf("%s: the pool becomes %+v", name, got)
		}
	}
}
