package vlan

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// onVLAN is a Network of a VLAN, made so many minutes after the first.
func onVLAN(name string, vlan int32, minutes int, subnets ...string) *v1alpha1.Network {
	n := &v1alpha1.Network{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(time.Unix(int64(minutes)*60, 0))},
		Spec:       v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{Trunk: "eth1", VLAN: vlan}, Attachment: v1alpha1.Attachment{Kind: "bridge"}},
	}
	for _, s := range subnets {
		n.Spec.Subnets = append(n.Spec.Subnets, v1alpha1.Subnet{CIDR: s})
	}
	return n
}

func TestOneSegment(t *testing.T) {
	first := onVLAN("prod", 120, 0, "10.120.0.0/16", "fd00:120::/64")
	other := onVLAN("trunk2", 120, 1, "10.120.0.0/16")
	other.Spec.Reach.Trunk = "eth2"
	slow := onVLAN("slow", 120, 1)
	slow.Spec.Reach.Datapath = "bridge"
	for _, c := range []struct {
		net  *v1alpha1.Network
		says string
	}{
		{onVLAN("db", 121, 1, "10.120.0.0/16"), ""},
		{other, ""},
		{onVLAN("more", 120, 1, "10.121.0.0/16"), ""},
		{onVLAN("bare", 120, 1), ""},
		{onVLAN("twice", 120, 1, "10.120.7.0/24"), "VLAN 120 of trunk eth1 is that of Network prod, which is older, and subnet 10.120.7.0/24 overlaps its 10.120.0.0/16"},
		{slow, "its reach.datapath is another"},
	} {
		err := oneSegment(c.net, first)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.net.Name, err, c.says)
		}
	}
	if older(first, first) || !older(first, slow) || older(slow, first) {
		t.Error("who is older is not decided")
	}
}
