package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// managedBy marks what the controller made, besides the owner reference.
const managedBy = "app.kubernetes.io/managed-by"

// pluginConf is a CNI network configuration (CNI 1.1.0, section 1) as the
// agent's built-in kinds read it.
type pluginConf struct {
	CNIVersion   string          `json:"cniVersion"`
	Name         string          `json:"name"`
	Type         string          `json:"type"`
	Capabilities map[string]bool `json:"capabilities"`
	MTU          int32           `json:"mtu,omitempty"`
	Master       string          `json:"master,omitempty"`    // macvlan
	Mode         string          `json:"mode,omitempty"`      // macvlan
	Bridge       string          `json:"bridge,omitempty"`    // bridge
	Uplink       string          `json:"uplink,omitempty"`    // bridge
	IsGateway    bool            `json:"isGateway,omitempty"` // bridge
	Device       string          `json:"device,omitempty"`    // host-device
	Trunk        string          `json:"trunk,omitempty"`     // trunk, and what follows
	VLAN         int32           `json:"vlan,omitempty"`
	Datapath     string          `json:"datapath,omitempty"`
	AntiSpoof    string          `json:"antiSpoof,omitempty"`
	IPAM         *ipamConf       `json:"ipam,omitempty"`
}

type ipamConf struct {
	Type  string   `json:"type"`
	Pools []string `json:"pools"`
}

// definition is the NetworkAttachmentDefinition that lets the Pods of one
// namespace select net.
func definition(net *v1alpha1.Network, namespace string) (*nadv1.NetworkAttachmentDefinition, error) {
	config, err := json.Marshal(conf(net))
	if err != nil {
		return nil, err
	}
	return &nadv1.NetworkAttachmentDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name: net.Name, Namespace: namespace,
			Labels:          labels(net),
			OwnerReferences: []metav1.OwnerReference{ownedBy(net)},
		},
		Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: string(config)},
	}, nil
}

func conf(net *v1alpha1.Network) pluginConf {
	a := net.Spec.Attachment
	c := pluginConf{
		CNIVersion: "1.0.0", Name: net.Name, Type: a.Kind, MTU: a.MTU,
		Capabilities: map[string]bool{"ips": true, "mac": true},
	}
	uplink := ""
	if net.Spec.Reach != nil {
		uplink = net.Spec.Reach.Interface
		if net.Spec.Reach.PortGroup != nil {
			uplink = v1alpha1.CardPrefix + net.Name // its name differs from node to node
		}
	}
	switch {
	case net.Spec.Reach != nil && net.Spec.Reach.Trunk != "":
		c.Type, c.Trunk, c.VLAN, c.Datapath, c.AntiSpoof = "trunk", net.Spec.Reach.Trunk, net.Spec.Reach.VLAN, net.Spec.Reach.Datapath, a.AntiSpoof
	case a.Kind == "macvlan":
		c.Master, c.Mode = uplink, a.Mode
		if c.Mode == "" {
			c.Mode = "bridge"
		}
	case a.Kind == "bridge":
		c.Bridge, c.Uplink = a.Bridge, uplink
		if c.Bridge == "" {
			c.Bridge = bridgeName(net.Name)
		}
		// A segment that ends at the node has no other machine to be its
		// gateway.
		c.IsGateway = uplink == "" && hasGateway(net)
	case a.Kind == "host-device":
		c.Device = uplink
	}
	if len(net.Spec.Subnets) > 0 {
		c.IPAM = &ipamConf{Type: "tsunagu"}
		for _, s := range net.Spec.Subnets {
			c.IPAM.Pools = append(c.IPAM.Pools, poolName(net.Name, s.CIDR))
		}
	}
	return c
}

func hasGateway(net *v1alpha1.Network) bool {
	for _, s := range net.Spec.Subnets {
		if s.Gateway != "" {
			return true
		}
	}
	return false
}

// bridgeName is the node's bridge of a Network that names none. The kernel
// allows 15 bytes; a longer name ends in a hash of the whole.
func bridgeName(network string) string {
	const prefix = "tsub-"
	if name := prefix + network; len(name) <= 15 {
		return name
	}
	return prefix + hash(network, 10)
}

// poolName is the IPPool of one subnet.
func poolName(network, cidr string) string {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return network + "-invalid" // the schema refuses it, and ParsePool says why
	}
	return ipam.PoolName(network, p)
}

// hash returns the first n hexadecimal digits of a name's SHA-256.
func hash(name string, n int) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:n]
}

// pool is the IPPool of one subnet. The Network's name is its address domain:
// two segments may use one CIDR.
func pool(net *v1alpha1.Network, s v1alpha1.Subnet) *v1alpha1.IPPool {
	return &v1alpha1.IPPool{
		ObjectMeta: metav1.ObjectMeta{
			Name:            poolName(net.Name, s.CIDR),
			Labels:          labels(net),
			OwnerReferences: []metav1.OwnerReference{ownedBy(net)},
		},
		Spec: v1alpha1.IPPoolSpec{Domain: net.Name, Subnet: s},
	}
}

func labels(net *v1alpha1.Network) map[string]string {
	return map[string]string{v1alpha1.NetworkLabel: net.Name, managedBy: "tsunagu"}
}

func ownedBy(net *v1alpha1.Network) metav1.OwnerReference {
	return *metav1.NewControllerRef(net, v1alpha1.GroupVersion.WithKind("Network"))
}
