package admission

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// claimed is addresses that the cluster itself uses.
type claimed struct {
	prefix netip.Prefix
	// says is what a pool that gives out some of them does, and the fix.
	says string
}

// pageSize is how many nodes one request lists: nodes are large and read
// seldom, so they are neither cached nor read all at once.
const pageSize = 200

// used lists what nodes and Services use. What could not be read is left out.
func (d *Desk) used(ctx context.Context) []claimed {
	var all []claimed
	var nodes corev1.NodeList
	for next := ""; ; next = nodes.Continue {
		nodes = corev1.NodeList{}
		if err := d.Live.List(ctx, &nodes, client.Limit(pageSize), client.Continue(next)); err != nil {
			break
		}
		for i := range nodes.Items {
			all = append(all, ofNode(&nodes.Items[i])...)
		}
		if nodes.Continue == "" {
			break
		}
	}
	return append(all, d.services(ctx)...)
}

func ofNode(n *corev1.Node) []claimed {
	var all []claimed
	for _, text := range n.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, claimed{p, fmt.Sprintf("overlaps the podCIDR %s of node %s: Pods that have both networks reach only one of them. To fix: choose another subnet", p, n.Name)})
		}
	}
	for _, address := range n.Status.Addresses {
		a, err := netip.ParseAddr(address.Address)
		if err == nil && (address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP) {
			all = append(all, claimed{netip.PrefixFrom(a, a.BitLen()), fmt.Sprintf("may give out %s, the address of node %s: two machines would have it. To fix: add it to exclude", a, n.Name)})
		}
	}
	return all
}

// services are the addresses of Services.
func (d *Desk) services(ctx context.Context) []claimed {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "ServiceCIDRList"})
	if err := d.Live.List(ctx, &list); err != nil {
		return nil
	}
	var all []claimed
	for _, o := range list.Items {
		cidrs, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "cidrs")
		for _, text := range cidrs {
			if p, err := netip.ParsePrefix(text); err == nil {
				all = append(all, claimed{p, fmt.Sprintf("overlaps the range of Services %s: Pods on both reach only one of them. To fix: choose another subnet", p)})
			}
		}
	}
	return all
}

// overlaps warns of a pool that gives out what the cluster uses itself; a few
// of many are named.
func overlaps(who string, p ipam.Pool, used []claimed) []string {
	const most = 3
	var out []string
	for _, c := range used {
		if !p.Gives(c.prefix) {
			continue
		}
		if len(out) == most {
			return append(out, who+" overlaps more that the cluster uses itself")
		}
		out = append(out, who+" "+c.says)
	}
	return out
}

// namespaces are the names of all namespaces in the cache.
func (d *Desk) namespaces(ctx context.Context) map[string]bool {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := d.Cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	names := map[string]bool{}
	for _, n := range list.Items {
		names[n.Name] = true
	}
	return names
}
