package admission

import (
	"context"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/near"
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
	r := d.Reviewer(ctx).Claim(ctx, next.Namespace, next.Spec.Network, addresses)
	if r.Refusal != nil {
		v.warn("%s: %s", who, r.Refusal.Note())
		return v, nil
	}
	for _, w := range r.Wants {
		if !w.Static.IsValid() {
			continue
		}
		p, _ := w.From(w.Static)
		bound, block := d.holders(ctx, p.Domain, w.Static)
		own := func(a ipam.Address) bool { return a.Claim.UID != "" && types.UID(a.Claim.UID) == next.UID }
		if err := p.Booked(w.Static, bound, block, own); err != nil {
			v.warn("%s: %s", who, attach.Refused(err).Note())
		}
	}
	return v, nil
}

// named judges the claim that a selection names.
func (d *Desk) named(ctx context.Context, r attach.Reviewed, who asker) error {
	name := r.Selection.Claim
	if name == "" {
		return nil
	}
	var o v1alpha1.IPClaim
	err := d.find(ctx, client.ObjectKey{Namespace: who.namespace, Name: name}, &o)
	if isNotFound(err) {
		bad := ipam.NoClaim(who.namespace, name)
		if meant := near.Names(name, d.claimNames(ctx, who.namespace)); len(meant) > 0 {
			bad.Message += "; near names: " + strings.Join(meant, ", ")
		}
		return bad
	}
	if err != nil {
		return nil
	}
	c, err := ipam.ClaimFrom(&o)
	if err != nil {
		return nil // its own status says so
	}
	owner := ipam.Owner{Key: ipam.Key{IfName: r.Selection.IfName}, Namespace: who.namespace, Network: r.Selection.Network()}
	if !who.workload {
		owner.Pod = who.name
	}
	if err := c.Suits(owner); err != nil {
		return err
	}
	for _, has := range c.Has {
		bound, _ := d.holders(ctx, has.Domain, has.Address.Addr())
		if bound == nil || bound.Claim.UID != c.UID || who.is(bound.Owner) || who.migrates {
			continue
		}
		if err := c.Busy(*bound); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) claimNames(ctx context.Context, namespace string) []string {
	var list v1alpha1.IPClaimList
	if err := d.Cached.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var names []string
	for _, c := range list.Items {
		names = append(names, c.Name)
	}
	return names
}
