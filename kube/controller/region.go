package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// idle tells, from what the caches say, which regions look as if nobody needs
// them: no block in them and no pool that reaches into them. Regions whose
// draining was interrupted are looked at in any case.
func idle(regions []v1alpha1.IPRegion, blocks []v1alpha1.IPBlock, pools []v1alpha1.IPPool) []v1alpha1.IPRegion {
	type prefix struct {
		domain string
		netip.Prefix
	}
	var used []prefix
	note := func(domain, cidr string) {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			used = append(used, prefix{domain, p})
		}
	}
	for _, b := range blocks {
		note(b.Spec.Domain, b.Spec.CIDR)
	}
	for _, p := range pools {
		note(p.Spec.Domain, p.Spec.CIDR)
	}
	var all []v1alpha1.IPRegion
next:
	for _, r := range regions {
		p, err := netip.ParsePrefix(r.Spec.CIDR)
		if err != nil {
			continue // not written by us
		}
		if !draining(&r) {
			for _, u := range used {
				if u.domain == r.Spec.Domain && u.Overlaps(p) {
					continue next
				}
			}
		}
		all = append(all, r)
	}
	return all
}

// restFor is how long a region must look unneeded before it is retired: a
// network that is used by one Pod at a time does not lose it between two.
const restFor = 10 * time.Minute

// rested returns the regions that looked unneeded for restFor, or whose
// draining was begun, and remembers the others in since.
func rested(unneeded []v1alpha1.IPRegion, since map[types.UID]time.Time, now time.Time) []v1alpha1.IPRegion {
	var all []v1alpha1.IPRegion
	seen := map[types.UID]bool{}
	for _, r := range unneeded {
		seen[r.UID] = true
		first, known := since[r.UID]
		if !known {
			since[r.UID], first = now, now
		}
		if draining(&r) || now.Sub(first) >= restFor {
			all = append(all, r)
		}
	}
	for uid := range since {
		if !seen[uid] {
			delete(since, uid)
		}
	}
	return all
}

// sweepRegions deletes regions that nobody needs. The order is the proof: a
// region is marked as draining first and the blocks are listed live after
// that, while whoever creates a block reads the region after creating. So a
// block that the list misses was created after the mark, and its creator sees
// the mark and withdraws it.
func (g *garbage) sweepRegions(ctx context.Context, now time.Time) error {
	var regions v1alpha1.IPRegionList
	var blocks v1alpha1.IPBlockList
	var pools v1alpha1.IPPoolList
	for _, l := range []client.ObjectList{&regions, &blocks, &pools} {
		if err := g.List(ctx, l); err != nil {
			return err
		}
	}
	var errs []error
	for _, r := range rested(idle(regions.Items, blocks.Items, pools.Items), g.idle, now) {
		if err := g.retire(ctx, &r); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("retire IPRegion %s: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (g *garbage) retire(ctx context.Context, r *v1alpha1.IPRegion) error {
	if !draining(r) {
		r = r.DeepCopy()
		if r.Annotations == nil {
			r.Annotations = map[string]string{}
		}
		r.Annotations[ipam.DrainingAnnotation] = "true"
		if err := g.Update(ctx, r); err != nil {
			return err
		}
	}
	var blocks v1alpha1.IPBlockList
	if err := g.live.List(ctx, &blocks, client.MatchingLabels{v1alpha1.DomainLabel: r.Spec.Domain}); err != nil {
		return err
	}
	if in := blockIn(r, blocks.Items); in != "" {
		g.log.Info("region is in use again", "region", r.Name, "block", in)
		delete(r.Annotations, ipam.DrainingAnnotation)
		return g.Update(ctx, r)
	}
	uid, version := r.UID, r.ResourceVersion
	if err := g.Delete(ctx, r, client.Preconditions{UID: &uid, ResourceVersion: &version}); err != nil {
		return err
	}
	g.log.Info("released, no block and no pool needs it", "object", "IPRegion "+r.Name)
	return nil
}

// draining tells whether somebody began to retire a region.
func draining(r *v1alpha1.IPRegion) bool {
	_, is := r.Annotations[ipam.DrainingAnnotation]
	return is
}

// blockIn names a block inside a region, "" if there is none.
func blockIn(r *v1alpha1.IPRegion, blocks []v1alpha1.IPBlock) string {
	region, err := netip.ParsePrefix(r.Spec.CIDR)
	if err != nil {
		return r.Name // not ours to delete
	}
	for _, b := range blocks {
		p, err := netip.ParsePrefix(b.Spec.CIDR)
		if b.Spec.Domain == r.Spec.Domain && (err != nil || region.Overlaps(p)) {
			return b.Name
		}
	}
	return ""
}
