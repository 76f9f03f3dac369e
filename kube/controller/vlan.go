package controller

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// vlanTaken is a Network whose VLAN is another's, and that is not the same
// segment.
type vlanTaken struct{ text string }

func (e vlanTaken) Error() string { return e.text }

// ownsVLAN refuses a Network on a VLAN of a trunk that an older one is on too,
// unless both can be one segment. Each gives out its own addresses, so these
// must differ; and a node carries a VLAN in one way.
func (r *networks) ownsVLAN(ctx context.Context, net *v1alpha1.Network) error {
	if net.Spec.Reach == nil || net.Spec.Reach.Trunk == "" {
		return nil
	}
	var all v1alpha1.NetworkList
	if err := r.List(ctx, &all); err != nil {
		return err
	}
	for i := range all.Items {
		if other := &all.Items[i]; older(other, net) {
			if err := oneSegment(net, other); err != nil {
				return err
			}
		}
	}
	return nil
}

func older(a, b *v1alpha1.Network) bool {
	return a.UID != b.UID && a.DeletionTimestamp == nil &&
		cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) < 0
}

// oneSegment says why two Networks cannot be on one VLAN.
func oneSegment(net, other *v1alpha1.Network) error {
	a, b := net.Spec.Reach, other.Spec.Reach
	if b == nil || a.Trunk != b.Trunk || a.VLAN != b.VLAN {
		return nil
	}
	taken := func(why, fix string) error {
		return vlanTaken{fmt.Sprintf("VLAN %d of trunk %s is that of Network %s, which is older, and %s. To fix: correct reach.vlan or reach.trunk of one of them, or, if they are the same segment, %s", a.VLAN, a.Trunk, other.Name, why, fix)}
	}
	if a.Datapath != b.Datapath {
		return taken("its reach.datapath is another", "give both the same reach.datapath")
	}
	for _, s := range net.Spec.Subnets {
		for _, o := range other.Spec.Subnets {
			p, err := netip.ParsePrefix(s.CIDR)
			q, err2 := netip.ParsePrefix(o.CIDR)
			if err == nil && err2 == nil && p.Overlaps(q) {
				return taken(fmt.Sprintf("subnet %s overlaps its %s: addresses would be given out twice", p, q), "use one Network for both")
			}
		}
	}
	return nil
}
