package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// bindAgain is how long after an address could not be had it is tried again.
const bindAgain = 30 * time.Second

// review judges what a claim wants of its network.
type review func(ctx context.Context, namespace, network string, addresses []netip.Addr) attach.Reviewed

// bind gives a new claim the addresses that it wants by number, before a Pod
// asks for them: the Pod then only becomes their owner. What cannot be had is
// left to the Pod, which says why.
func (r *claims) bind(ctx context.Context, claim *v1alpha1.IPClaim) (again time.Duration, err error) {
	if r.review == nil || len(claim.Spec.Addresses) == 0 || len(claim.Status.Addresses) > 0 {
		return 0, nil
	}
	c, err := ipam.ClaimFrom(claim)
	if err != nil {
		return 0, nil // admission and the Pod say so
	}
	reviewed := r.review(ctx, c.Namespace, c.Network, c.Wants)
	if reviewed.Refusal != nil {
		return bindAgain, nil
	}
	follows := false // the MAC from an address
	for _, w := range reviewed.Wants {
		follows = follows || len(w.Pool.MACPrefix) > 0
		if !w.Static.IsValid() || w.Pool.Local {
			continue
		}
		p, _ := w.From(w.Static)
		if full, err := r.keepsEnough(ctx, c.Namespace, p); err != nil {
			return 0, err
		} else if full {
			r.log.Info("an address that a claim wants is left to its Pod: claims of the namespace keep as many of the pool as its quota", "claim", c.Namespace+"/"+c.Name, "address", w.Static, "pool", p.Name)
			again = bindAgain
			continue
		}
		_, _, err := ipam.Keep(ctx, r.book, ipam.Address{Domain: p.Domain, Address: w.Static, Pool: p.Name, Claim: c.Ref()})
		if err != nil {
			r.log.Info("an address that a claim wants cannot be bound yet", "claim", c.Namespace+"/"+c.Name, "address", w.Static, "err", err)
			again = bindAgain
			continue
		}
		c.Has = append(c.Has, ipam.ClaimedAddress{Address: netip.PrefixFrom(w.Static, p.Prefix.Bits()), Domain: p.Domain, Pool: p.Name})
	}
	if len(c.Has) == 0 {
		return again, nil
	}
	if c.MAC = c.WantsMAC; len(c.MAC) == 0 && !follows {
		c.MAC = c.DerivedMAC()
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": claim.UID, "resourceVersion": claim.ResourceVersion},
		"status": map[string]any{"addresses": c.HasObject(), "mac": orNull(c.MAC.String())}})
	if err != nil {
		return 0, fmt.Errorf("render what IPClaim %s/%s has: %w", c.Namespace, c.Name, err)
	}
	// If an agent was faster it lists the same object, or another instead: then
	// this one is collected.
	if err := r.Status().Patch(ctx, claim.DeepCopy(), client.RawPatch(types.MergePatchType, body)); err != nil {
		return 0, client.IgnoreNotFound(fmt.Errorf("write what IPClaim %s/%s has: %w", c.Namespace, c.Name, err))
	}
	return again, nil
}

// keepsEnough tells whether the claims of a namespace keep as many addresses of
// a pool as its quota permits Pods: claims cost no token while no Pod uses them,
// so nobody may write down more of them than that and have them bound.
func (r *claims) keepsEnough(ctx context.Context, namespace string, p ipam.Pool) (bool, error) {
	most, limited := p.Quota(namespace)
	if !limited {
		return false, nil
	}
	var all v1alpha1.IPClaimList
	if err := r.live.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return false, fmt.Errorf("count what IPClaims of namespace %s keep: %w", namespace, err)
	}
	n := 0
	for _, claim := range all.Items {
		for _, a := range claim.Status.Addresses {
			if a.Pool == p.Name && a.Domain == p.Domain {
				n++
			}
		}
	}
	return n >= most, nil
}
