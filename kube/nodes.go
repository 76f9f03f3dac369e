package kube

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/overlay"
)

// Nodes knows all nodes of the cluster: their prefixes and addresses.
type Nodes struct{ *watched }

// NewNodes prepares the copy of the nodes; Run keeps it.
func NewNodes(c *Client) *Nodes {
	lw := cache.NewListWatchFromClient(c.Core, "nodes", metav1.NamespaceAll, fields.Everything())
	return &Nodes{watched: watchObjects("nodes", lw, &corev1.Node{}, stripNode)}
}

func stripNode(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	addresses := slices.DeleteFunc(slices.Clone(n.Status.Addresses), func(a corev1.NodeAddress) bool { return a.Type != corev1.NodeInternalIP })
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion},
		Spec:       corev1.NodeSpec{PodCIDR: n.Spec.PodCIDR, PodCIDRs: n.Spec.PodCIDRs},
		Status:     corev1.NodeStatus{Addresses: addresses},
	}, nil
}

// List gives the nodes in the order of their names.
func (n *Nodes) List() []overlay.Node {
	objects := n.store.List()
	nodes := make([]overlay.Node, 0, len(objects))
	for _, object := range objects {
		nodes = append(nodes, toNode(object.(*corev1.Node)))
	}
	slices.SortFunc(nodes, func(a, b overlay.Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

// Node gives one node by name.
func (n *Nodes) Node(name string) (overlay.Node, bool) {
	object, ok, _ := n.store.GetByKey(name)
	if !ok {
		return overlay.Node{}, false
	}
	return toNode(object.(*corev1.Node)), true
}

// toNode reads a node. What cannot be parsed is left out: the API server does not accept it, and the doctor names nodes without.
func toNode(n *corev1.Node) overlay.Node {
	node := overlay.Node{Name: n.Name, UID: string(n.UID)}
	prefixes := n.Spec.PodCIDRs
	if len(prefixes) == 0 && n.Spec.PodCIDR != "" {
		prefixes = []string{n.Spec.PodCIDR}
	}
	for _, text := range prefixes {
		if p, err := netip.ParsePrefix(text); err == nil {
			node.PodCIDRs = append(node.PodCIDRs, p.Masked())
		}
	}
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			node.Addresses = append(node.Addresses, ip.Unmap())
		}
	}
	return node
}
