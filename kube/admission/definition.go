package admission

import (
	"context"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kube/vlan"
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
	d.vlanOfNetwork(ctx, &v, next, n)
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

// vlanOfNetwork warns of a definition on a VLAN that a Network carries: a node
// has one interface for it, so the Pods of one of them would be refused.
func (d *Desk) vlanOfNetwork(ctx context.Context, v *verdict, o *nadv1.NetworkAttachmentDefinition, n attach.Network) {
	if o.Labels[v1alpha1.NetworkLabel] != "" {
		return // made of the Network itself
	}
	var trunk string
	var id int
	switch s := n.Spec.(type) {
	case kind.VLAN:
		trunk, id = s.Master, int(s.ID)
	case kind.Trunk:
		trunk, id = s.Name, s.ID
	default:
		return
	}
	if name, err := vlan.Owner(ctx, d.Cached, trunk, id); err == nil && name != "" {
		v.warn("network-attachment-definition %s: VLAN %d of %s is that of Network %s: on a node that carries it, only the Pods of one of them are attached. To fix: let Pods select %s, or correct the VLAN", n.Ref, id, trunk, name, name)
	}
}
