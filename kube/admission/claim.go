package admission

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// claim judges an IPClaim.
func (d *Desk) claim(ctx context.Context, next, old *v1alpha1.IPClaim) (verdict, error) {
	if next == nil || next.DeletionTimestamp != nil || old != nil && equality.Semantic.DeepEqual(next.Spec, old.Spec) {
		return verdict{}, nil
	}
	var v verdict
	who := "IPClaim " + next.Namespace + "/" + next.Name
	if _, err := ipam.ParseRetention(next.Spec.Retention); err != nil {
		v.warn("%s: spec.retention %q: %v", who, next.Spec.Retention, err)
	}
	var addresses []netip.Addr
	for _, text := range next.Spec.Addresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			v.warn("%s: spec.addresses: %v", who, err)
			continue
		}
		addresses = append(addresses, a.Unmap())
	}
	r := d.reviewer(ctx).Claim(ctx, next.Namespace, next.Spec.Network, addresses)
	if r.Refusal != nil {
		v.warn("%s: %s", who, r.Refusal.Note())
		return v, nil
	}
	for _, w := range r.Wants {
		if !w.Static.IsValid() {
			continue
		}
		p := w.Source()
		bound, block := d.holders(ctx, p.Domain, w.Static)
		own := func(c ipam.ClaimRef) bool { return types.UID(c.UID) == next.UID }
		if bound != nil && bound.Claim != (ipam.ClaimRef{}) && own(bound.Claim) {
			continue
		}
		if err := p.Booked(w.Static, bound, block, nil, own); err != nil {
			v.warn("%s: %s", who, attach.Refused(err).Note())
		}
	}
	return v, nil
}
