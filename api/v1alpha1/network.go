package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NetworkLabel is set on every object that the controller made for a Network;
// its value is the Network's name.
const NetworkLabel = "tsunagu.dev/network"

// ConditionReady is the condition of Networks and IPPools that says whether
// the object was carried out.
const ConditionReady = "Ready"

// Network is an L2 or L3 segment that Pods can be attached to: how a node
// reaches it, how a Pod is attached, its addresses and who may use it. The
// controller publishes one NetworkAttachmentDefinition of the Network's name
// in every permitted namespace, so a Pod selects it with the annotation
// k8s.v1.cni.cncf.io/networks.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=tnet
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.attachment.kind`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.reach.interface`
// +kubebuilder:printcolumn:name="Trunk",type=string,priority=1,JSONPath=`.spec.reach.trunk`
// +kubebuilder:printcolumn:name="VLAN",type=integer,priority=1,JSONPath=`.spec.reach.vlan`
// +kubebuilder:printcolumn:name="Port group",type=string,priority=1,JSONPath=`.spec.reach.portGroup.name`
// +kubebuilder:printcolumn:name="Subnets",type=string,JSONPath=`.status.subnets`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Namespaces",type=integer,JSONPath=`.status.namespaces`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a Network's name becomes the name of a NetworkAttachmentDefinition, of an address domain and a label value: use at most 63 lower-case letters, digits and '-'"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'pods' && !self.metadata.name.startsWith('x--')",message="the name pods and names that begin with x-- are taken, they stand for other address domains: choose another"
type Network struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   NetworkSpec   `json:"spec"`
	Status NetworkStatus `json:"status,omitempty"`
}

// NetworkSpec is what the user wants a Network to be.
//
// +kubebuilder:validation:XValidation:rule="self.attachment.kind != 'macvlan' || (has(self.reach) && (has(self.reach.interface) || has(self.reach.portGroup)))",message="attachment kind macvlan needs reach.interface, the node's interface that is on the segment, or reach.portGroup"
// +kubebuilder:validation:XValidation:rule="self.attachment.kind != 'host-device' || (has(self.reach) && has(self.reach.interface))",message="attachment kind host-device needs reach.interface: the node's interface that is on the segment"
// +kubebuilder:validation:XValidation:rule="!has(self.reach) || !has(self.reach.portGroup) || self.attachment.kind in ['macvlan','bridge']",message="a port group is attached by kind macvlan or bridge: its card serves many Pods"
// +kubebuilder:validation:XValidation:rule="self.attachment.kind != 'ptp' || !has(self.reach) || !has(self.reach.interface)",message="attachment kind ptp is routed and has no uplink: leave reach.interface out, or use kind bridge or macvlan"
// +kubebuilder:validation:XValidation:rule="self.attachment.kind != 'ptp' || (has(self.subnets) && self.subnets.size() > 0)",message="attachment kind ptp is routed and needs subnets"
// +kubebuilder:validation:XValidation:rule="!has(self.reach) || !has(self.reach.trunk) || self.attachment.kind == 'bridge'",message="a VLAN of a trunk is attached by kind bridge"
// +kubebuilder:validation:XValidation:rule="!has(self.reach) || !has(self.reach.trunk) || !has(self.attachment.bridge)",message="what a VLAN of a trunk stands on is made by the node: leave attachment.bridge out"
// +kubebuilder:validation:XValidation:rule="!has(self.attachment.antiSpoof) || (has(self.reach) && has(self.reach.trunk))",message="attachment.antiSpoof is an option of networks with reach.trunk"
// +kubebuilder:validation:XValidation:rule="!has(self.attachment.bridge) || !has(self.reach) || !has(self.reach.interface) || self.attachment.bridge != self.reach.interface",message="attachment.bridge and reach.interface are one name: the interface becomes a port of the bridge, so they must differ"
// +kubebuilder:validation:XValidation:rule="!has(self.subnets) || !has(self.attachment.mtu) || self.attachment.mtu >= 1280 || self.subnets.all(s, !isCIDR(s.cidr) || cidr(s.cidr).ip().family() == 4)",message="a network with an IPv6 subnet needs an mtu of at least 1280 (RFC 8200 section 5)"
// +kubebuilder:validation:XValidation:rule="!has(self.subnets) || self.subnets.all(a, self.subnets.filter(b, isCIDR(a.cidr) && isCIDR(b.cidr) && cidr(a.cidr).containsCIDR(b.cidr)).size() <= 1)",message="subnets of one Network must not overlap"
type NetworkSpec struct {
	// Reach says how a node reaches the segment. Without it the segment
	// exists on each node alone (kinds ptp and bridge).
	// +optional
	Reach *Reach `json:"reach,omitempty"`

	// Attachment says how a Pod is attached.
	Attachment Attachment `json:"attachment"`

	// Subnets are the segment's addresses. A Pod gets one address from each
	// subnet. Without subnets Pods are attached at L2 only.
	// +optional
	// +listType=map
	// +listMapKey=cidr
	// +kubebuilder:validation:MaxItems=8
	Subnets []Subnet `json:"subnets,omitempty"`

	// Namespaces says which namespaces may use the Network; absent means all.
	// +optional
	Namespaces *NamespaceSelector `json:"namespaces,omitempty"`

	// Spread says over what Pods of one workload are spread, as far as it goes:
	// Hosts, the hosts of nodes that are virtual machines.
	// +optional
	// +kubebuilder:validation:Enum=Hosts
	Spread string `json:"spread,omitempty"`
}

// SpreadHosts spreads the Pods of a workload over hosts of virtual machines.
const SpreadHosts = "Hosts"

// Reach is how a node reaches a segment.
//
// +kubebuilder:validation:XValidation:rule="[has(self.interface), has(self.trunk), has(self.portGroup)].filter(x, x).size() <= 1",message="reach.interface is an interface that is on the segment as a whole, reach.trunk one that carries it as a VLAN, reach.portGroup a port group of vSphere that nodes are given a network card on: give one of them"
// +kubebuilder:validation:XValidation:rule="has(self.trunk) == has(self.vlan)",message="reach.trunk and reach.vlan belong together: the node's interface that carries VLANs, and the number of this one, 1 to 4094"
// +kubebuilder:validation:XValidation:rule="!has(self.datapath) || has(self.trunk)",message="reach.datapath is an option of reach.trunk"
type Reach struct {
	// Interface is the name of the node's interface that is on the segment.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['lo', '.', '..'])",message="reach.interface must be a network interface of the node, such as eth1"
	Interface string `json:"interface,omitempty"`

	// Trunk is the name of the node's interface that carries the segment as a
	// VLAN among others, with tags of IEEE 802.1Q. Untagged frames on it and
	// other VLANs stay the node's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['lo', '.', '..'])",message="reach.trunk must be a network interface of the node, such as eth1"
	Trunk string `json:"trunk,omitempty"`

	// VLAN is the segment's number on Trunk.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4094
	VLAN int32 `json:"vlan,omitempty"`

	// Datapath is what carries the VLAN on a node: ebpf, a switch in the
	// kernel's traffic hooks, or bridge, an 802.1Q interface and a bridge. The
	// default is the node's choice: ebpf where the kernel can.
	// +optional
	// +kubebuilder:validation:Enum=ebpf;bridge
	Datapath string `json:"datapath,omitempty"`

	// PortGroup is a port group of vSphere that is the segment. Nodes that are
	// virtual machines are given a network card on it when Pods need it, and it
	// is taken away when none do.
	// +optional
	PortGroup *PortGroup `json:"portGroup,omitempty"`
}

// PortGroup is a port group of a vCenter, and how nodes are brought onto it.
type PortGroup struct {
	// Name is the port group's name, its inventory path where several have the
	// name, or its managed object ID.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name"`

	// MaxNodes is how many nodes may have a card on it at the same time; the
	// default is any number.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxNodes int32 `json:"maxNodes,omitempty"`

	// IdleAfter is how long a card that no Pod uses stays, such as 10m, which is
	// the default.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="idleAfter is a time such as 10m, and not negative"
	IdleAfter *metav1.Duration `json:"idleAfter,omitempty"`
}

// DefaultIdleAfter is how long a card that no Pod uses stays if its Network
// does not say.
const DefaultIdleAfter = 10 * time.Minute

// Idle is how long a card that no Pod uses stays.
func (p PortGroup) Idle() time.Duration {
	if p.IdleAfter == nil {
		return DefaultIdleAfter
	}
	return p.IdleAfter.Duration
}

// CardPrefix begins what stands in a definition in place of an interface of the
// node: the card that the node was given for the Network whose name follows. No
// interface has such a name (the kernel allows no colon).
const CardPrefix = "card:"

// ConditionPortGroup is the condition of a Network with reach.portGroup that
// says whether nodes can be given cards on it.
const ConditionPortGroup = "PortGroup"

// Attachment is how a Pod is attached to a Network.
//
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || self.kind == 'macvlan'",message="mode is an option of kind macvlan"
// +kubebuilder:validation:XValidation:rule="!has(self.bridge) || self.kind == 'bridge'",message="bridge is an option of kind bridge"
type Attachment struct {
	// Kind is the kind of interface.
	// +kubebuilder:validation:Enum=macvlan;bridge;ptp;host-device
	Kind string `json:"kind"`

	// Mode is the macvlan mode; the default is bridge.
	// +optional
	// +kubebuilder:validation:Enum=bridge;private;vepa;passthru
	Mode string `json:"mode,omitempty"`

	// Bridge is the name of the node's bridge for kind bridge; by default one
	// is made for the Network.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	Bridge string `json:"bridge,omitempty"`

	// MTU of the Pod's interface in bytes; the default is that of the segment.
	// +optional
	// +kubebuilder:validation:Minimum=68
	// +kubebuilder:validation:Maximum=65535
	MTU int32 `json:"mtu,omitempty"`

	// AntiSpoof is what a Pod on a VLAN of a trunk is held to: addresses, its
	// own MAC and the addresses it was given; mac, its own MAC; none, nothing.
	// Frames that have a tag already never pass.
	// +optional
	// +kubebuilder:validation:Enum=addresses;mac;none
	AntiSpoof string `json:"antiSpoof,omitempty"`
}

// Subnet is one subnet of a Network; it becomes an IPPool.
//
// +kubebuilder:validation:XValidation:rule="isCIDR(self.cidr)",message="cidr must be an address and prefix length, such as 192.168.10.0/24 or fd00:10::/64"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || cidr(self.cidr) == cidr(self.cidr).masked()",message="cidr has bits set behind its prefix length: write the subnet's first address, such as 192.168.10.0/24"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || isIP(self.gateway)",message="gateway must be an IP address"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !isIP(self.gateway) || !isCIDR(self.cidr) || cidr(self.cidr).containsIP(self.gateway)",message="gateway must lie inside cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.ranges) || self.ranges.all(r, isCIDR(r) || (r.contains('-') && isIP(r.substring(0, r.indexOf('-'))) && isIP(r.substring(r.indexOf('-') + 1))))",message="each of ranges must be first-last or a CIDR, such as 192.168.10.100-192.168.10.199 or 192.168.10.128/25"
// +kubebuilder:validation:XValidation:rule="!has(self.ranges) || !isCIDR(self.cidr) || self.ranges.all(r, isCIDR(r) ? cidr(self.cidr).containsCIDR(r) : (!r.contains('-') || [r.substring(0, r.indexOf('-')), r.substring(r.indexOf('-') + 1)].all(a, !isIP(a) || cidr(self.cidr).containsIP(a))))",message="each of ranges must lie inside cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.exclude) || self.exclude.all(r, isIP(r) || isCIDR(r) || (r.contains('-') && isIP(r.substring(0, r.indexOf('-'))) && isIP(r.substring(r.indexOf('-') + 1))))",message="each of exclude must be an address, a CIDR or first-last"
// +kubebuilder:validation:XValidation:rule="!has(self.staticRanges) || self.staticRanges.all(r, isIP(r) || isCIDR(r) || (r.contains('-') && isIP(r.substring(0, r.indexOf('-'))) && isIP(r.substring(r.indexOf('-') + 1))))",message="each of staticRanges must be an address, a CIDR or first-last, such as 192.168.10.10-192.168.10.19"
// +kubebuilder:validation:XValidation:rule="!has(self.staticRanges) || !isCIDR(self.cidr) || self.staticRanges.all(r, isIP(r) ? cidr(self.cidr).containsIP(r) : isCIDR(r) ? cidr(self.cidr).containsCIDR(r) : (!r.contains('-') || [r.substring(0, r.indexOf('-')), r.substring(r.indexOf('-') + 1)].all(a, !isIP(a) || cidr(self.cidr).containsIP(a))))",message="each of staticRanges must lie inside cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || !isCIDR(self.cidr) || self.routes.all(r, !isCIDR(r.dst) || cidr(r.dst).ip().family() == cidr(self.cidr).ip().family())",message="a route must be of the subnet's address family: put IPv6 routes under the IPv6 subnet"
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || !isCIDR(self.cidr) || self.routes.all(r, !has(r.gw) || !isIP(r.gw) || cidr(self.cidr).containsIP(r.gw) || (ip(r.gw).family() == 6 && ip(r.gw).isLinkLocalUnicast() && cidr(self.cidr).ip().family() == 6))",message="a route's gw must lie inside cidr or be an IPv6 link-local address: a Pod reaches no other next hop on this network"
type Subnet struct {
	// CIDR is the subnet, such as 192.168.10.0/24 or fd00:10::/64.
	// +kubebuilder:validation:MaxLength=64
	CIDR string `json:"cidr"`

	// Ranges limits the addresses given to Pods to these, each either
	// "first-last" or a CIDR; by default the whole subnet.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=100
	Ranges []string `json:"ranges,omitempty"`

	// Exclude are addresses never given to Pods: an address, a CIDR or
	// "first-last".
	// +optional
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=100
	Exclude []string `json:"exclude,omitempty"`

	// Gateway of the subnet; never given to a Pod. It becomes the next hop of
	// Routes without one, and the Pod's default route if it asks for one.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	Gateway string `json:"gateway,omitempty"`

	// Routes that a Pod gets with an address of this subnet.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Routes []Route `json:"routes,omitempty"`

	AddressPolicy `json:",inline"`
}

// Route is a route of a Pod.
//
// +kubebuilder:validation:XValidation:rule="isCIDR(self.dst)",message="dst must be an address and prefix length, such as 10.0.0.0/8"
// +kubebuilder:validation:XValidation:rule="!has(self.gw) || isIP(self.gw)",message="gw must be an IP address"
type Route struct {
	// Dst is the destination prefix.
	// +kubebuilder:validation:MaxLength=64
	Dst string `json:"dst"`
	// GW is the next hop; the default is the subnet's gateway.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	GW string `json:"gw,omitempty"`
}

// NamespaceSelector selects namespaces; a namespace that is named or matches
// the selector is permitted.
type NamespaceSelector struct {
	// Names of permitted namespaces.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Names []string `json:"names,omitempty"`
	// Selector on the labels of namespaces.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// NetworkStatus is what became of a Network.
type NetworkStatus struct {
	// ObservedGeneration is the generation that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Namespaces is the number of namespaces that have the Network's
	// NetworkAttachmentDefinition.
	// +optional
	Namespaces int32 `json:"namespaces"`
	// Subnets lists the subnets that are published, for people: tables of
	// kubectl show one value of a list only.
	// +optional
	Subnets string `json:"subnets,omitempty"`
	// Conditions: Ready, and PortGroup where spec.reach names one.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NetworkList is a list of Networks.
//
// +kubebuilder:object:root=true
type NetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Network `json:"items"`
}
