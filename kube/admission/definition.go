package admission

import (
	"context"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
)

// definition judges a NetworkAttachmentDefinition. Those of plugins that are
// not built in are not ours, and nothing is said of them.
func (d *Desk) definition(ctx context.Context, next, old *nadv1.NetworkAttachmentDefinition) (verdict, error) {
	if next == nil || next.DeletionTimestamp != nil || old != nil && next.Spec == old.Spec {
		return verdict{}, nil
	}
	var v verdict
	n, warnings, refusal := d.Reviewer(ctx).Definition(ctx, toDefinition(next))
	v.warnings = warnings
	if refusal != nil {
		v.warn("%s", refusal.Note())
		return v, nil
	}
	var used []claimed
	for _, set := range n.IPAM.Pools {
		for _, p := range set {
			if used == nil {
				used = d.used(ctx)
			}
			v.warnings = append(v.warnings, overlaps("network-attachment-definition "+n.Ref+": ipam range "+p.Prefix.String(), p, used)...)
		}
	}
	return v, nil
}
