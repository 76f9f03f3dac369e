package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkReadyPrefix begins the key of the Node label that says that a Network
// was verified on the node; the Network's name follows, and the value is
// NetworkReadyValue. The NodeRestriction admission plugin keeps kubelets from
// setting labels of this domain, and Cluster API and the Cluster Autoscaler know
// that somebody else manages them.
const (
	NetworkReadyPrefix = "tsunagu.node-restriction.kubernetes.io/"
	NetworkReadyValue  = "ready"
)

// NetworkGate is the scheduling gate of a Pod for which a node is being brought
// onto a network, GatedAnnotation says that it was given one.
const (
	NetworkGate     = "tsunagu.dev/network"
	GatedAnnotation = "tsunagu.dev/gated"
)

// NodeNetwork is what one node has: its interfaces, and which Networks are
// there. It bears the name of the Node and goes with it. The node's agent
// writes the status, nobody else does; the controller makes labels of it, by
// which Pods are scheduled.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=nodenet
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Missing",type=string,JSONPath=`.status.missing`
// +kubebuilder:printcolumn:name="Seen",type=date,JSONPath=`.status.heartbeat`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeNetwork struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   NodeNetworkSpec   `json:"spec,omitempty"`
	Status NodeNetworkStatus `json:"status,omitempty"`
}

// NodeNetworkSpec is what the controller gave the node.
type NodeNetworkSpec struct {
	// Cards are network cards that were added to the node's virtual machine.
	// +optional
	// +listType=map
	// +listMapKey=network
	Cards []NodeCard `json:"cards,omitempty"`
}

// NodeCard is a network card that was added to a virtual machine for a Network.
type NodeCard struct {
	// Network is the Network's name.
	Network string `json:"network"`
	// MAC is the card's address, by which the node finds it: names of interfaces
	// change.
	MAC string `json:"mac"`
	// PortGroup is what it was put on, as the Network named it then.
	// +optional
	PortGroup string `json:"portGroup,omitempty"`
	// Kept is set when the machine had the card before: it is never taken away.
	// +optional
	Kept bool `json:"kept,omitempty"`
	// Leaving is set when it is about to be taken away: the node has the Network
	// no more.
	// +optional
	Leaving bool `json:"leaving,omitempty"`
}

// NodeNetworkStatus is what the node's agent sees.
type NodeNetworkStatus struct {
	// Heartbeat is when the agent last wrote. It does so every two minutes;
	// what is older than five says nothing any more.
	// +optional
	Heartbeat metav1.Time `json:"heartbeat,omitempty"`
	// Interfaces are those of the node that Networks can use.
	// +optional
	// +listType=map
	// +listMapKey=name
	Interfaces []NodeInterface `json:"interfaces,omitempty"`
	// Networks are those with a reach, as this node sees them.
	// +optional
	// +listType=map
	// +listMapKey=name
	Networks []NodeNetworkState `json:"networks,omitempty"`
	// Ready and Missing name them, for people: tables of kubectl show one value
	// of a list only.
	// +optional
	Ready string `json:"ready,omitempty"`
	// +optional
	Missing string `json:"missing,omitempty"`
}

// NodeInterface is a network interface of a node.
type NodeInterface struct {
	Name string `json:"name"`
	// +optional
	MAC string `json:"mac,omitempty"`
	// PCI is the address of the device, such as 0000:0b:00.0.
	// +optional
	PCI string `json:"pci,omitempty"`
	// Driver is the kernel driver's name, or the kind of a virtual interface.
	// +optional
	Driver string `json:"driver,omitempty"`
	MTU    int32  `json:"mtu"`
	// Carrier tells that the link works: the interface is up and plugged in.
	Carrier bool `json:"carrier"`
}

// NetworkPhase is how far a node is with a Network.
// +kubebuilder:validation:Enum=Ready;Missing;Degraded
type NetworkPhase string

const (
	// NetworkPhaseReady is a Network that Pods of the node can be attached to.
	NetworkPhaseReady NetworkPhase = "Ready"
	// NetworkPhaseMissing is one that the node does not have.
	NetworkPhaseMissing NetworkPhase = "Missing"
	// NetworkPhaseDegraded is one whose interface is there and does not work.
	NetworkPhaseDegraded NetworkPhase = "Degraded"
)

// NodeNetworkState is what a node says of one Network.
type NodeNetworkState struct {
	// Name is the Network's.
	Name  string       `json:"name"`
	Phase NetworkPhase `json:"phase"`
	// Interface of the node that is, or carries, the segment.
	// +optional
	Interface string `json:"interface,omitempty"`
	// Reason is one word, and Message says it to people.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
}

// NodeNetworkList is a list of NodeNetworks.
//
// +kubebuilder:object:root=true
type NodeNetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeNetwork `json:"items"`
}
