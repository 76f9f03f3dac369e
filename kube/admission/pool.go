package admission

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Books know what is in use.
type Books interface {
	// Count is how many addresses of a pool interfaces hold, and which of its
	// subnet but outside its ranges.
	Count(ctx context.Context, p ipam.Pool) (used int64, outside []netip.Addr, err error)
}

// pool judges an IPPool.
func (d *Desk) pool(ctx context.Context, next, old *v1alpha1.IPPool) (verdict, error) {
	if next == nil {
		return d.poolGoes(ctx, old)
	}
	if old != nil && equality.Semantic.DeepEqual(next.Spec, old.Spec) || next.DeletionTimestamp != nil {
		return verdict{}, nil
	}
	p, err := ipam.ParsePool(*next)
	if err != nil {
		return verdict{denied: attach.Refused(err).Note()}, nil
	}
	who := "IPPool " + p.Name
	v := verdict{warnings: d.subnet(ctx, who, p, true)}
	for _, o := range d.pools(ctx) {
		prefix, err := netip.ParsePrefix(o.Spec.CIDR)
		if o.Name != p.Name && o.Spec.Domain == p.Domain && err == nil && p.Prefix.Overlaps(prefix) {
			v.warn("%s shares addresses with IPPool %s of the same domain (%s). Each address is still given out only once. "+
				"To fix: if they are two segments, give one another domain", who, o.Name, prefix)
		}
	}
	v.warnings = append(v.warnings, d.fallbacks(ctx, who, p)...)
	if old != nil {
		v.warnings = append(v.warnings, d.shrinks(ctx, who, p)...)
	}
	return v, nil
}

// subnet warns of what a subnet gives out and should not; cluster tells
// whether nodes and Services are looked at.
func (d *Desk) subnet(ctx context.Context, who string, p ipam.Pool, cluster bool) []string {
	var v verdict
	if p.Size() == 0 && len(p.Statics) == 0 {
		v.warn("%s: no address is left after exclude, gateway, network and broadcast address. To fix: make its ranges larger", who)
	}
	for _, e := range p.Exclude {
		if !e.Meets(ipam.RangeOf(p.Prefix)) {
			v.warn("%s: exclude %s lies outside %s and has no effect. To fix: correct or remove it", who, e, p.Prefix)
		}
	}
	if len(p.Quotas) > 0 {
		known := d.namespaces(ctx)
		for _, name := range sorted(p.Quotas) {
			if name != "" && known != nil && !known[name] {
				v.warn("%s: quotas: namespace %s does not exist (yet)", who, name)
			}
		}
	}
	if cluster {
		v.warnings = append(v.warnings, overlaps(who, p, d.used(ctx))...)
	}
	return v.warnings
}

// fallbacks warns of pools to fall back to that are of no use.
func (d *Desk) fallbacks(ctx context.Context, who string, p ipam.Pool) []string {
	var v verdict
	for i, name := range p.Fallback {
		if name == p.Name {
			v.warn("%s: fallback[%d] is the pool itself. To fix: remove it", who, i)
			continue
		}
		other, err := pools{ctx, d}.Pool(ctx, name)
		switch {
		case isNotFound(err):
			v.warn("%s: fallback[%d]: IPPool %s does not exist%s", who, i, name, nearPools(pools{ctx, d}.Names(), name))
		case err == nil && other.Prefix.Addr().BitLen() != p.Prefix.Addr().BitLen():
			v.warn("%s: fallback[%d]: IPPool %s (%s) is of another address family and is never used. To fix: name a pool of the family of %s", who, i, name, other.Prefix, p.Prefix)
		}
	}
	return v.warnings
}

// shrinks warns of addresses in use that a pool no longer has.
func (d *Desk) shrinks(ctx context.Context, who string, p ipam.Pool) []string {
	_, outside, err := d.Books.Count(ctx, p)
	if err != nil || len(outside) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s in use and no longer in the pool: %s. They stay with their interfaces, and are not given out again", who, counted(int64(len(outside))), few(outside))}
}

// poolGoes judges the deletion of an IPPool.
func (d *Desk) poolGoes(ctx context.Context, old *v1alpha1.IPPool) (verdict, error) {
	var v verdict
	p, err := ipam.ParsePool(*old)
	if err != nil {
		return v, nil // nothing was ever given out of it
	}
	if used, outside, err := d.Books.Count(ctx, p); err == nil && used+int64(len(outside)) > 0 {
		v.warn("IPPool %s is deleted while %s in use. They stay with their Pods until these end; new Pods get none of it", p.Name, counted(used+int64(len(outside))))
	}
	if by := d.naming(ctx, p.Name); len(by) > 0 {
		v.warn("Pods can no longer be attached to %s: the network takes its addresses from IPPool %s, which is deleted. To fix: correct ipam.pools there", few(by), p.Name)
	}
	for _, o := range d.pools(ctx) {
		if slices.Contains(o.Spec.Fallback, p.Name) {
			v.warn("IPPool %s falls back to IPPool %s, which is deleted", o.Name, p.Name)
		}
	}
	return v, nil
}

// naming are the definitions that take addresses from a pool.
func (d *Desk) naming(ctx context.Context, pool string) []string {
	var list nadv1.NetworkAttachmentDefinitionList
	if err := d.Cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		if !strings.Contains(list.Items[i].Spec.Config, pool) {
			continue // reading each of thousands is slow
		}
		n, err := attach.ParseDefinition(toDefinition(&list.Items[i]))
		if err == nil && slices.ContainsFunc(n.IPAM.PoolNames, func(set []string) bool { return slices.Contains(set, pool) }) {
			names = append(names, n.Ref)
		}
	}
	slices.Sort(names)
	return names
}
