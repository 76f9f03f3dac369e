package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPAddress is one address bound by name: static, sticky, reserved by hand, or
// kept away because a stranger uses it. Its name is made of domain and address,
// so that the API server's create-if-absent is the lock.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=tip
// +kubebuilder:selectablefield:JSONPath=`.spec.owner.nodeUID`
// +kubebuilder:selectablefield:JSONPath=`.spec.claim.uid`
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.spec.domain`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.address`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.owner.namespace`
// +kubebuilder:printcolumn:name="Pod",type=string,JSONPath=`.spec.owner.pod`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.owner.interface`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.owner.node`
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.claim.name`
// +kubebuilder:printcolumn:name="Stranger",type=string,JSONPath=`.spec.quarantine.mac`,priority=1
// +kubebuilder:printcolumn:name="Reserved",type=string,JSONPath=`.spec.reserved`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPAddress struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAddressSpec `json:"spec"`
}

// IPAddressSpec is the binding of one address.
//
// +kubebuilder:validation:XValidation:rule="isIP(self.address)",message="address must be an IP address"
// +kubebuilder:validation:XValidation:rule="self.domain == oldSelf.domain && self.address == oldSelf.address",message="domain and address are the IPAddress's name and do not change"
type IPAddressSpec struct {
	// +kubebuilder:validation:MaxLength=63
	Domain string `json:"domain"`
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`
	// Pool is the IPPool, if the address came from one.
	// +optional
	Pool string `json:"pool,omitempty"`

	// Owner is the interface that uses the address now. It is empty while
	// nobody does: then the address waits for its Claim, is Reserved, or is in
	// Quarantine.
	// +optional
	Owner AddressOwner `json:"owner,omitzero"`

	// Incoming is the interface of a virtual machine that migrates to another
	// node while it runs: it has the address besides Owner, and becomes the
	// owner when Owner's interface is gone.
	// +optional
	Incoming AddressOwner `json:"incoming,omitzero"`

	// Claim is the IPClaim that the address belongs to, whether a Pod uses it
	// now or not.
	// +optional
	Claim ClaimReference `json:"claim,omitzero"`

	// Reserved says in words why the address is kept from Pods; it is for
	// people. A Pod that asks for the address by number is refused with it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reserved string `json:"reserved,omitempty"`

	// Quarantine says that a stranger on the segment uses the address.
	// +optional
	Quarantine *AddressQuarantine `json:"quarantine,omitempty"`

	// Origin says where an imported binding comes from, such as whereabouts.
	// Such an interface was not made by tsunagu.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Origin string `json:"origin,omitempty"`
}

// AddressOwner is the interface that an address is bound to.
type AddressOwner struct {
	// +optional
	Node string `json:"node,omitempty"`
	// +optional
	NodeUID string `json:"nodeUID,omitempty"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// +optional
	Pod string `json:"pod,omitempty"`
	// +optional
	PodUID string `json:"podUID,omitempty"`
	// +optional
	ContainerID string `json:"containerID,omitempty"`
	// +optional
	Interface string `json:"interface,omitempty"`
}

// ClaimReference names an IPClaim.
type ClaimReference struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// AddressQuarantine is what is known of a stranger that uses an address.
type AddressQuarantine struct {
	// MAC of the stranger.
	MAC string `json:"mac"`
	// Node that saw it.
	Node string `json:"node"`
	// Seconds that the quarantine lasts, from the last time that the stranger
	// was seen.
	Seconds int64 `json:"seconds"`
	// Seen is when the stranger was seen last.
	Seen metav1.Time `json:"seen"`
}

// IPAddressList is a list of IPAddresses.
//
// +kubebuilder:object:root=true
type IPAddressList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAddress `json:"items"`
}
