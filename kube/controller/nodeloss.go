package controller

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// lossPolicies tells when the objects of a lost node may be released. An
// object that several pools draw on follows the strictest of them; one that no
// pool draws on any more follows the default.
type lossPolicies []ipam.Pool

func newLossPolicies(pools []v1alpha1.IPPool) lossPolicies {
	var all lossPolicies
	for _, p := range pools {
		if parsed, err := ipam.ParsePool(p); err == nil {
			all = append(all, parsed)
		}
	}
	return all
}

// strictness orders policies; none is the default.
func strictness(p v1alpha1.NodeLossPolicy) int {
	switch p {
	case v1alpha1.OutOfService:
		return 1
	case v1alpha1.Never:
		return 3
	}
	return 2
}

// of is the policy of an object.
func (l lossPolicies) of(o client.Object) v1alpha1.NodeLossPolicy {
	domain, prefix := place(o)
	strictest := v1alpha1.NodeLossPolicy("")
	for _, p := range l {
		// Tokens are of some pool with quotas: which one their name does not say.
		drawn := p.Domain == domain && prefix.IsValid() && p.Prefix.Overlaps(prefix)
		if ipam.IsQuota(domain) {
			drawn = len(p.Quotas) > 0
		}
		if drawn && (strictest == "" || strictness(p.NodeLoss) > strictness(strictest)) {
			strictest = p.NodeLoss
			if strictest == "" {
				strictest = v1alpha1.PodDeleted
			}
		}
	}
	if strictest == "" {
		return v1alpha1.PodDeleted
	}
	return strictest
}

// needsTaints tells whether taints of nodes matter to any pool.
func (l lossPolicies) needsTaints() bool {
	return slices.ContainsFunc(l, func(p ipam.Pool) bool { return p.NodeLoss == v1alpha1.OutOfService })
}

// outOfService tells whether somebody vouches that a node is down
// (kubernetes.io, "Non-graceful node shutdown").
func outOfService(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}

// outOfService are the UIDs of nodes in the cache that are out of service, if
// that matters to any pool.
func (g *garbage) outOfService(ctx context.Context, policies lossPolicies) (map[string]bool, error) {
	out := map[string]bool{}
	if !policies.needsTaints() {
		return out, nil
	}
	var nodes corev1.NodeList
	if err := g.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	for i := range nodes.Items {
		if outOfService(&nodes.Items[i]) {
			out[string(nodes.Items[i].UID)] = true
		}
	}
	return out, nil
}

// quarantine marks the blocks of a node that is gone, for people to see, and
// for the node itself: an agent that still runs takes the mark off, which proves
// that it does. It returns the blocks whose mark was taken off.
func (g *garbage) quarantine(ctx context.Context, objects []client.Object) (objecting []string, err error) {
	for _, o := range objects {
		b, ok := o.(*v1alpha1.IPBlock)
		if !ok || b.Spec.State == v1alpha1.BlockQuarantined {
			continue
		}
		if g.marked[markOf(b)] {
			delete(g.marked, markOf(b))
			objecting = append(objecting, b.Name)
			continue
		}
		next := b.DeepCopy()
		next.Spec.State = v1alpha1.BlockQuarantined
		switch err := g.Update(ctx, next); {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		case err != nil:
			return objecting, err
		default:
			g.marked[markOf(b)] = true
		}
	}
	return objecting, nil
}

// markOf is the identity of a block.
func markOf(o client.Object) string { return string(o.GetUID()) + " " + o.GetName() }

// keepForever says once that addresses of a lost node are not released.
func (g *garbage) keepForever(o ownerID) {
	if !g.forever[o] {
		g.forever[o] = true
		g.log.Info("node is lost; its addresses of pools whose nodeLoss is Never are kept until tsunagu address release", "node", o.Name, "nodeUID", o.UID)
	}
}

// unmark forgets marks of blocks that are no more.
func (g *garbage) unmark(lost map[ownerID][]client.Object) {
	still := map[string]bool{}
	for _, objects := range lost {
		for _, o := range objects {
			still[markOf(o)] = true
		}
	}
	for mark := range g.marked {
		if !still[mark] {
			delete(g.marked, mark)
		}
	}
}
