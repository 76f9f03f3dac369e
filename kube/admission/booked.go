package admission

import (
	"context"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// DomainField is the index of the cached blocks and addresses by domain.
const DomainField = "spec.domain"

// asker is who would get an address.
type asker struct {
	namespace, name string
	// owner makes the Pod; nil for a Pod by itself.
	owner *metav1.OwnerReference
	// migrates: a virtual machine is on its way to the Pod, whose addresses
	// another has still.
	migrates bool
	// workload tells that name is that of a workload, and not of a Pod.
	workload bool
}

// is tells whether an interface belongs to the asker's Pod, or to one that it
// takes the place of.
func (a asker) is(o ipam.Owner) bool {
	if o.Namespace != a.namespace {
		return false
	}
	if a.workload {
		return strings.HasPrefix(o.Pod, a.name+"-")
	}
	if a.owner != nil && strings.HasPrefix(o.Pod, a.owner.Name+"-") {
		return true
	}
	return o.Pod == a.name && a.name != ""
}

// mine tells whether the asker may have what is bound: its own former Pod has
// it, or it is kept for a claim of its namespace, which may be the one that a
// StatefulSet's Pod has of its own.
func (a asker) mine(x ipam.Address) bool {
	switch {
	case x.Quarantine != nil || x.Reserved != "":
		return false
	case x.Owner.Pod != "" || x.Node != "":
		return a.is(x.Owner)
	}
	return x.Claim.Namespace == a.namespace
}

// booked says who else has the static address of a want.
func (d *Desk) booked(ctx context.Context, w ipam.Want, who asker) error {
	p, _ := w.From(w.Static)
	bound, block := d.holders(ctx, p.Domain, w.Static)
	return p.Booked(w.Static, bound, block, who.mine)
}

// holders finds in the cache what binds an address, and the block it lies in.
func (d *Desk) holders(ctx context.Context, domain string, x netip.Addr) (*ipam.Address, *ipam.Block) {
	var bound *ipam.Address
	var o v1alpha1.IPAddress
	if d.Cached.Get(ctx, client.ObjectKey{Name: ipam.AddressName(domain, x)}, &o) == nil {
		if a, err := ipam.AddressFrom(&o); err == nil {
			bound = &a
		}
	}
	var blocks v1alpha1.IPBlockList
	if d.Cached.List(ctx, &blocks, client.MatchingFields{DomainField: domain}, client.UnsafeDisableDeepCopy) != nil {
		return bound, nil
	}
	for i := range blocks.Items {
		prefix, err := netip.ParsePrefix(blocks.Items[i].Spec.CIDR)
		if err != nil || !prefix.Contains(x) {
			continue
		}
		if b, err := ipam.BlockFrom(&blocks.Items[i]); err == nil {
			return bound, &b
		}
	}
	return bound, nil
}
