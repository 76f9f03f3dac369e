package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressPolicy says how the addresses of a subnet are given out.
type AddressPolicy struct {
	// StaticRanges are addresses given only to who asks for them by number or
	// by claim: an address, a CIDR or "first-last". They may lie outside
	// Ranges.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=100
	StaticRanges []string `json:"staticRanges,omitempty"`

	// Order in which free addresses are given out. Lowest is strictly the
	// lowest first; Cooldown is the one that was given back longest ago. By
	// default Lowest for up to 256 addresses, else Cooldown.
	// +optional
	Order AddressOrder `json:"order,omitempty"`

	// Cooldown is how long an address that was given back is not given out
	// again, if need be until the pool counts as full; by default not at all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="cooldown must be between 0s and 24h"
	Cooldown *metav1.Duration `json:"cooldown,omitempty"`

	// Sticky says which Pods keep their addresses over their own end: Pods of
	// a StatefulSet (the default), or none but those that name an IPClaim.
	// +optional
	Sticky StickyOwners `json:"sticky,omitempty"`

	// Retention is how long the addresses of a sticky owner without a Pod are
	// kept for it: WhileOwnerExists (the default), Forever, or a duration such
	// as 24h.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^(WhileOwnerExists|Forever|([0-9]+(\.[0-9]+)?(s|m|h))+)$`
	Retention string `json:"retention,omitempty"`

	// NodeLoss says when the addresses of a lost node are given to others.
	// +optional
	NodeLoss NodeLossPolicy `json:"nodeLoss,omitempty"`

	// Quotas limit how many addresses the Pods of a namespace may hold at
	// once, all nodes together.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +kubebuilder:validation:MaxItems=256
	Quotas []NamespaceQuota `json:"quotas,omitempty"`

	// ConflictDetection says whether an address is looked for on the segment
	// (RFC 5227, RFC 4862) before a Pod gets it: Probe (the default where the
	// segment leaves the node) or Off.
	// +optional
	ConflictDetection ConflictDetection `json:"conflictDetection,omitempty"`

	// Quarantine is how long an address that a stranger uses is not given out;
	// the default is 10m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="quarantine must be between 1s and 720h"
	Quarantine *metav1.Duration `json:"quarantine,omitempty"`

	// GatewayCheck says whether the gateway must answer on the segment before
	// a Pod starts: Off (the default), Warn with an Event, or Require. Behind a
	// trunk it is asked before a node is said to have the VLAN, unless it is Off.
	// +optional
	GatewayCheck GatewayCheck `json:"gatewayCheck,omitempty"`

	// MACPrefix derives the MAC of a Pod's interface from its IPv4 address:
	// the first two bytes, such as "02:0a"; the address is the other four. By
	// default the MAC is random.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-fA-F][26aeAE]:[0-9a-fA-F]{2}$`
	MACPrefix string `json:"macPrefix,omitempty"`

	// Fallback names IPPools of the same address family that are tried in
	// turn when this one is full.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=253
	Fallback []string `json:"fallback,omitempty"`
}

// AddressOrder is an order in which free addresses are given out.
// +kubebuilder:validation:Enum=Lowest;Cooldown
type AddressOrder string

const (
	OrderLowest   AddressOrder = "Lowest"
	OrderCooldown AddressOrder = "Cooldown"
)

// StickyOwners are the Pods that keep their addresses over their own end.
// +kubebuilder:validation:Enum=StatefulSet;Claimed
type StickyOwners string

const (
	// StickyStatefulSet makes an IPClaim for each Pod of a StatefulSet.
	StickyStatefulSet StickyOwners = "StatefulSet"
	// StickyClaimed leaves it to Pods that name an IPClaim.
	StickyClaimed StickyOwners = "Claimed"
)

const (
	// RetainWhileOwnerExists keeps addresses as long as the StatefulSet, or
	// whoever owns the IPClaim, exists.
	RetainWhileOwnerExists = "WhileOwnerExists"
	// RetainForever keeps them until the IPClaim is deleted by hand.
	RetainForever = "Forever"
)

// NodeLossPolicy says what proves that a lost node uses its addresses no more.
// +kubebuilder:validation:Enum=PodDeleted;OutOfService;Never
type NodeLossPolicy string

const (
	// PodDeleted, the default: the Node object is gone, no Pod is bound to it
	// any more, and a quarantine has passed.
	PodDeleted NodeLossPolicy = "PodDeleted"
	// OutOfService: in addition the taint node.kubernetes.io/out-of-service on
	// the Node counts as its being gone.
	OutOfService NodeLossPolicy = "OutOfService"
	// Never: only a person releases them (tsunagu address release).
	Never NodeLossPolicy = "Never"
)

// NamespaceQuota limits the addresses of one namespace.
type NamespaceQuota struct {
	// Namespace that the limit is for; "*" is each namespace that is not named.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`
	Namespace string `json:"namespace"`
	// Max is the number of addresses.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Max int32 `json:"max"`
}

// ConflictDetection says whether the segment is asked for an address first.
// +kubebuilder:validation:Enum=Probe;Off
type ConflictDetection string

const (
	ConflictProbe ConflictDetection = "Probe"
	ConflictOff   ConflictDetection = "Off"
)

// GatewayCheck says what a silent gateway means.
// +kubebuilder:validation:Enum=Off;Warn;Require
type GatewayCheck string

const (
	GatewayOff     GatewayCheck = "Off"
	GatewayWarn    GatewayCheck = "Warn"
	GatewayRequire GatewayCheck = "Require"
)
