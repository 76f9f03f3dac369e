package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPClaim keeps the addresses (and the MAC) of one interface of a workload over
// the end of its Pods: they come back with the next Pod, on whatever node. One
// is made for each interface of a Pod of a StatefulSet; others are made by hand
// and named by a Pod's network selection ("ipam-claim-reference").
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=ipc
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Network",type=string,JSONPath=`.spec.network`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.interface`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.status.addresses[*].address`
// +kubebuilder:printcolumn:name="MAC",type=string,JSONPath=`.status.mac`,priority=1
// +kubebuilder:printcolumn:name="Pod",type=string,JSONPath=`.status.pod`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Retention",type=string,JSONPath=`.spec.retention`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IPClaimSpec   `json:"spec"`
	Status IPClaimStatus `json:"status,omitempty"`
}

// IPClaimSpec is the intent of an IPClaim.
type IPClaimSpec struct {
	// Network is the NetworkAttachmentDefinition that the claim is for, as
	// namespace/name, or name alone for one of the claim's namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the network of an IPClaim does not change: make another IPClaim"
	Network string `json:"network"`

	// Interface is the name of the interface in the Pod; empty means whichever
	// names the claim.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface,omitempty"`

	// Addresses that are wanted, at most one of each pool of the network; by
	// default any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="self.all(a, isIP(a))",message="each of addresses must be an IP address"
	Addresses []string `json:"addresses,omitempty"`

	// MAC that is wanted; by default one is chosen with the first Pod and kept.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`
	MAC string `json:"mac,omitempty"`

	// Pod limits the claim to Pods of this name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// Retention is how long addresses are kept while no Pod uses them:
	// WhileOwnerExists (the default: as long as the claim exists, which goes
	// with its owner), Forever, or a duration such as 24h.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^(WhileOwnerExists|Forever|([0-9]+(\.[0-9]+)?(s|m|h))+)$`
	Retention string `json:"retention,omitempty"`
}

// IPClaimStatus is what an IPClaim has.
type IPClaimStatus struct {
	// Addresses that belong to the claim. The IPAddress objects are the truth,
	// this is where they are found.
	// +optional
	// +listType=atomic
	Addresses []ClaimedAddress `json:"addresses,omitempty"`
	// MAC that belongs to the claim.
	// +optional
	MAC string `json:"mac,omitempty"`
	// Pod that uses the claim now, and its Node.
	// +optional
	Pod string `json:"pod,omitempty"`
	// +optional
	Node string `json:"node,omitempty"`
	// Idle is since when no Pod uses the claim.
	// +optional
	Idle *metav1.Time `json:"idle,omitempty"`
	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClaimedAddress is an address of an IPClaim.
type ClaimedAddress struct {
	// Address with the prefix length of its subnet.
	Address string `json:"address"`
	// Domain that the address lies in.
	Domain string `json:"domain"`
	// Pool is the IPPool, if the address came from one.
	// +optional
	Pool string `json:"pool,omitempty"`
}

// IPClaimList is a list of IPClaims.
//
// +kubebuilder:object:root=true
type IPClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPClaim `json:"items"`
}
