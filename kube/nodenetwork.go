package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/node"
)

// Networks knows the Networks that nodes reach by an interface.
type Networks struct{ *watched }

// NewNetworks prepares the copy; Run keeps it.
func NewNetworks(c *Client) *Networks {
	lw := cache.NewListWatchFromClient(c.Tsunagu, "networks", metav1.NamespaceAll, fields.Everything())
	return &Networks{watchObjects("networks", lw, &v1alpha1.Network{}, stripNetwork)}
}

func stripNetwork(object any) (any, error) {
	n, ok := object.(*v1alpha1.Network)
	if !ok {
		return object, nil
	}
	kept := &v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion}}
	kept.Spec.Reach = n.Spec.Reach
	for _, s := range n.Spec.Subnets {
		one := v1alpha1.Subnet{CIDR: s.CIDR, Gateway: s.Gateway}
		one.GatewayCheck = s.GatewayCheck
		kept.Spec.Subnets = append(kept.Spec.Subnets, one)
	}
	return kept, nil
}

// Reached are the networks that a node reaches by an interface, of which it was given cards for some.
func (n *Networks) Reached(cards []v1alpha1.NodeCard) []node.Network {
	var all []node.Network
	for _, object := range n.store.List() {
		if one, ok := toReached(object.(*v1alpha1.Network), cards); ok {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b node.Network) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func toReached(o *v1alpha1.Network, cards []v1alpha1.NodeCard) (node.Network, bool) {
	if o.Spec.Reach == nil {
		return node.Network{}, false
	}
	n := node.Network{Name: o.Name, Interface: o.Spec.Reach.Interface, Trunk: o.Spec.Reach.Trunk, VLAN: int(o.Spec.Reach.VLAN)}
	for _, c := range cards {
		current := o.Spec.Reach.PortGroup != nil && c.PortGroup == o.Spec.Reach.PortGroup.Name && !c.Leaving
		if mac, err := net.ParseMAC(c.MAC); err == nil && c.Network == o.Name && current {
			n.Card = mac
		}
	}
	for _, s := range o.Spec.Subnets {
		check := s.GatewayCheck
		if check == "" && n.Trunk != "" {
			check = v1alpha1.GatewayRequire // the carrier of a trunk says nothing of its VLANs
		}
		a, err := netip.ParseAddr(s.Gateway)
		if err == nil && (check == v1alpha1.GatewayWarn || check == v1alpha1.GatewayRequire) {
			n.Gateways = append(n.Gateways, node.Gateway{Address: a, Required: check == v1alpha1.GatewayRequire})
		}
	}
	return n, n.Interface != "" || n.Trunk != "" || n.Card != nil
}

// NodeNetwork is the object of one node.
type NodeNetwork struct {
	*watched
	client rest.Interface
	name   string
}

const nodeNetworkResource = "nodenetworks"

// NewNodeNetwork prepares the copy of this node's object.
func NewNodeNetwork(c *Client, name string) *NodeNetwork {
	lw := cache.NewListWatchFromClient(c.Tsunagu, nodeNetworkResource, metav1.NamespaceAll, fields.OneTermEqualSelector("metadata.name", name))
	return &NodeNetwork{watchObjects("what this node has", lw, &v1alpha1.NodeNetwork{}, stripOwn), c.Tsunagu, name}
}

func stripOwn(object any) (any, error) {
	n, ok := object.(*v1alpha1.NodeNetwork)
	if !ok {
		return object, nil
	}
	return &v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion}, Spec: n.Spec}, nil
}

// Cards are what the controller gave the node.
func (n *NodeNetwork) Cards() []v1alpha1.NodeCard {
	if object, ok, _ := n.store.GetByKey(n.name); ok {
		return object.(*v1alpha1.NodeNetwork).Spec.Cards
	}
	return nil
}

// all is a list that is there also when it is empty.
func all[T any](list []T) []T { return append([]T{}, list...) }

// Report writes what the node has. The object is made when it is not there, and goes with the Node, of which uid is the UID.
func (n *NodeNetwork) Report(ctx context.Context, uid string, status v1alpha1.NodeNetworkStatus) error {
	// What is empty is written too: it may have been more before.
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"heartbeat": status.Heartbeat, "interfaces": all(status.Interfaces), "networks": all(status.Networks),
		"ready": status.Ready, "missing": status.Missing}})
	if err != nil {
		return fmt.Errorf("render what the node has: %w", err)
	}
	write := func() error {
		return n.client.Patch(types.MergePatchType).Resource(nodeNetworkResource).Name(n.name).SubResource("status").Body(patch).Do(ctx).Error()
	}
	err = write()
	if apierrors.IsNotFound(err) {
		o := &v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: n.name, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.name, UID: types.UID(uid)}}}}
		if err := n.client.Post().Resource(nodeNetworkResource).Body(o).Do(ctx).Error(); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create NodeNetwork %s: %w", n.name, err)
		}
		err = write()
	}
	if err != nil {
		return fmt.Errorf("write the status of NodeNetwork %s: %w", n.name, err)
	}
	return nil
}
