package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DomainLabel is set on IPRegions, IPBlocks and IPAddresses; its value is the
// address domain.
const DomainLabel = "tsunagu.dev/domain"

// NodeLabel is set on IPBlocks and IPAddresses; its value is the UID of the
// Node that holds the object.
const NodeLabel = "tsunagu.dev/node-uid"

// IPRegion fixes the size of the blocks in one /24 (IPv4) or /120 (IPv6) of a
// domain, so that ranges that overlap agree where blocks begin. Its unit does
// not change while any block of it exists: who deletes a region marks it as
// draining first and then looks for blocks, who creates a block looks at the
// region after.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.spec.domain`
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidr`
// +kubebuilder:printcolumn:name="Unit",type=integer,JSONPath=`.spec.unit`
type IPRegion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPRegionSpec `json:"spec"`
}

// IPRegionSpec is the decision an IPRegion records.
//
// +kubebuilder:validation:XValidation:rule="isCIDR(self.cidr)",message="cidr must be an address and prefix length"
// +kubebuilder:validation:XValidation:rule="self.domain == oldSelf.domain && self.cidr == oldSelf.cidr",message="domain and cidr are the IPRegion's name and do not change"
type IPRegionSpec struct {
	// +kubebuilder:validation:MaxLength=63
	Domain string `json:"domain"`
	// +kubebuilder:validation:MaxLength=64
	CIDR string `json:"cidr"`
	// Unit is the number of addresses of each block, a power of two.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the unit of an IPRegion does not change; delete the region when it has no blocks"
	Unit int32 `json:"unit"`
}

// IPRegionList is a list of IPRegions.
//
// +kubebuilder:object:root=true
type IPRegionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPRegion `json:"items"`
}

// IPBlock is a prefix leased to one node. Its name is made of domain and first
// address, so that the API server's create-if-absent is the lock.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:selectablefield:JSONPath=`.spec.owner.nodeUID`
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.spec.domain`
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidr`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.owner.node`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.spec.usedCount`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IPBlock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPBlockSpec `json:"spec"`
}

// IPBlockState says what may be done with a block.
// +kubebuilder:validation:Enum=Owned;Draining;Quarantined
type IPBlockState string

const (
	// BlockOwned blocks are given out by their owner.
	BlockOwned IPBlockState = "Owned"
	// BlockDraining blocks give out nothing more and go away when empty.
	BlockDraining IPBlockState = "Draining"
	// BlockQuarantined blocks lost their node and wait for evidence that
	// nothing uses them.
	BlockQuarantined IPBlockState = "Quarantined"
)

// IPBlockSpec is the lease of a block.
//
// +kubebuilder:validation:XValidation:rule="isCIDR(self.cidr)",message="cidr must be an address and prefix length"
// +kubebuilder:validation:XValidation:rule="self.domain == oldSelf.domain && self.cidr == oldSelf.cidr && self.owner == oldSelf.owner",message="an IPBlock changes hands only by being deleted and created again: domain, cidr and owner do not change"
type IPBlockSpec struct {
	// +kubebuilder:validation:MaxLength=63
	Domain string `json:"domain"`
	// +kubebuilder:validation:MaxLength=64
	CIDR  string       `json:"cidr"`
	Owner BlockOwner   `json:"owner"`
	State IPBlockState `json:"state"`
	// Holes are addresses of the block that belong to somebody else (static
	// addresses): a bitmap in hexadecimal, lowest address first.
	// +optional
	Holes string `json:"holes,omitempty"`
	// HoleRequests are addresses that somebody wants to be bound statically;
	// the owner cuts a hole or refuses.
	// +optional
	HoleRequests []HoleRequest `json:"holeRequests,omitempty"`
	// UsedCount and Used (a bitmap like Holes) are flushed lazily, for people
	// and garbage collection, never for safety.
	// +optional
	UsedCount int32 `json:"usedCount"`
	// +optional
	Used string `json:"used,omitempty"`
}

// BlockOwner is the node that a block is leased to. The UID is the identity: a
// node that was re-created under the same name owns nothing of its forebear.
type BlockOwner struct {
	Node    string `json:"node"`
	NodeUID string `json:"nodeUID"`
}

// HoleRequest asks a block's owner to give up one address.
type HoleRequest struct {
	Address string `json:"address"`
	// Answer is empty, "cut", or why not.
	// +optional
	Answer string `json:"answer,omitempty"`
	// Any other address would do as well: one that rests is not given up.
	// +optional
	Any bool `json:"any,omitempty"`
}

// IPBlockList is a list of IPBlocks.
//
// +kubebuilder:object:root=true
type IPBlockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPBlock `json:"items"`
}
