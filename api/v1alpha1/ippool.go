package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPPool is a subnet from which Pods all over the cluster get addresses.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=tpool
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidr`
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.spec.domain`,priority=1
// +kubebuilder:printcolumn:name="Ranges",type=string,JSONPath=`.spec.ranges`,priority=1
// +kubebuilder:printcolumn:name="Total",type=integer,JSONPath=`.status.total`
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.status.used`
// +kubebuilder:printcolumn:name="Free",type=integer,JSONPath=`.status.free`
// +kubebuilder:printcolumn:name="Static",type=integer,JSONPath=`.status.static`
// +kubebuilder:printcolumn:name="Blocks",type=integer,JSONPath=`.status.blocks`
// +kubebuilder:printcolumn:name="Conflicts",type=integer,JSONPath=`.status.conflicts`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IPPoolSpec   `json:"spec"`
	Status IPPoolStatus `json:"status,omitempty"`
}

// IPPoolSpec is the intent of an IPPool.
//
// +kubebuilder:validation:XValidation:rule="self.cidr == oldSelf.cidr",message="the cidr of an IPPool cannot change, interfaces hold its addresses: make another IPPool"
type IPPoolSpec struct {
	// Domain is the name of the address space: within one domain an address
	// has one owner, whatever pool it came from; two domains may use the same
	// addresses. The default is "default".
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the domain of an IPPool cannot change: blocks are leased under its name"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('q--')",message="domains that begin with q-- are those of quotas: choose another"
	// +kubebuilder:validation:XValidation:rule="self != 'pods'",message="the domain pods is that of the pod network itself: choose another"
	Domain string `json:"domain,omitempty"`

	Subnet `json:",inline"`

	// BlockSize is the number of addresses leased to a node at once, a power
	// of two from 1 to 64; 0 lets it follow from the pool's size and the
	// number of nodes.
	// +optional
	// +kubebuilder:validation:Enum=0;1;2;4;8;16;32;64
	BlockSize int32 `json:"blockSize,omitempty"`
}

// IPPoolStatus counts an IPPool. It is flushed lazily, for people and not for
// safety. Counts of IPv6 pools end at the largest int64.
type IPPoolStatus struct {
	// Total is the number of addresses that may be given out to who asks for
	// any: those of StaticRanges are not among them.
	// +optional
	Total int64 `json:"total"`
	// Used is the number of addresses that interfaces hold, or that are bound
	// one by one, those of StaticRanges included.
	// +optional
	Used int64 `json:"used"`
	// Free is the number of Total that nobody has.
	// +optional
	Free int64 `json:"free"`
	// Static is the number of IPAddress objects in the pool: static, sticky
	// and reserved addresses.
	// +optional
	Static int64 `json:"static"`
	// Conflicts is the number of addresses in quarantine, because a stranger
	// uses them.
	// +optional
	Conflicts int64 `json:"conflicts"`
	// Blocks is the number of IPBlocks leased to nodes.
	// +optional
	Blocks int64 `json:"blocks"`
	// ObservedGeneration is the generation that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IPPoolList is a list of IPPools.
//
// +kubebuilder:object:root=true
type IPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPPool `json:"items"`
}
