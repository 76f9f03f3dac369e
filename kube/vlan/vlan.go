package vlan

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Taken is a Network whose VLAN is another's, and that is not the same
// segment.
type Taken struct{ text string }

func (e Taken) Error() string { return e.text }

// Owns refuses, as Taken, a Network on a VLAN of a trunk that an older
// one is on too, unless both can be one segment. Each gives out its own
// addresses, so these must differ; and a node carries a VLAN in one way. A
// Network that is not yet made is the youngest.
func Owns(ctx context.Context, networks client.Reader, net *v1alpha1.Network) error {
	if net.Spec.Reach == nil || net.Spec.Reach.Trunk == "" {
		return nil
	}
	var all v1alpha1.NetworkList
	if err := networks.List(ctx, &all); err != nil {
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

// Owner gives the name of the Network that a VLAN of a trunk belongs to, ""
// for none.
func Owner(ctx context.Context, networks client.Reader, trunk string, vlan int) (string, error) {
	var all v1alpha1.NetworkList
	if err := networks.List(ctx, &all); err != nil {
		return "", err
	}
	for i := range all.Items {
		if reach := all.Items[i].Spec.Reach; reach != nil && reach.Trunk == trunk && int(reach.VLAN) == vlan {
			return all.Items[i].Name, nil
		}
	}
	return "", nil
}

func older(a, b *v1alpha1.Network) bool {
	return a.Name != b.Name && a.DeletionTimestamp == nil && (b.CreationTimestamp.IsZero() ||
		cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) < 0)
}

// oneSegment says why two Networks cannot be on one VLAN.
func oneSegment(net, other *v1alpha1.Network) error {
	a, b := net.Spec.Reach, other.Spec.Reach
	if b == nil || a.Trunk != b.Trunk || a.VLAN != b.VLAN {
		return nil
	}
	taken := func(why, fix string) error {
		return Taken{fmt.Sprintf("VLAN %d of trunk %s is that of Network %s, which is older, and %s. To fix: correct reach.vlan or reach.trunk of one of them, or, if they are the same segment, %s", a.VLAN, a.Trunk, other.Name, why, fix)}
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
