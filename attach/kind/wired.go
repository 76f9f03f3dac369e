package kind

import (
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Wired is an interface as it was made: enough for a CNI result, for Check, and to take it away again. It is stored as JSON.
type Wired struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifName"`
	Network     string `json:"network,omitempty"`
	// Type is the kind of interface by its CNI plugin name.
	Type string `json:"type"`
	// Foreign tells that a plugin of others made it, and takes it away.
	Foreign bool `json:"foreign,omitempty"`
	// MAC and MTU of the interface inside the Pod; IfIndex is its index there.
	MAC     string `json:"mac"`
	MTU     int    `json:"mtu"`
	IfIndex int    `json:"ifIndex"`
	// Kind is what the kernel calls the link inside, Mode its mode (macvlan, ipvlan), VLAN its tag; empty ones are not compared.
	Kind string `json:"kind,omitempty"`
	Mode string `json:"mode,omitempty"`
	VLAN int    `json:"vlan,omitempty"`
	// Tap is how a tap is.
	Tap *link.TapInfo `json:"tap,omitempty"`
	// Down tells that the interface is left down on purpose.
	Down bool `json:"down,omitempty"`
	// HostIf is the node's end (pod, ptp, bridge), HostMAC its address. Both are empty for other kinds.
	HostIf  string `json:"hostIf,omitempty"`
	HostMAC string `json:"hostMAC,omitempty"`
	// Master is the node's interface below a macvlan; Bridge the one a bridge port belongs to.
	Master string `json:"master,omitempty"`
	Bridge string `json:"bridge,omitempty"`
	// Port is how the port of the bridge is.
	Port *Port `json:"port,omitempty"`
	// Trunk is the port on a VLAN.
	Trunk *TrunkPort `json:"trunk,omitempty"`
	// OVS is how the port of Open vSwitch is.
	OVS *OVSPort `json:"ovs,omitempty"`
	// Below is the interface of the Pod that it stands on, or the bridge of the Pod that it belongs to.
	Below string `json:"below,omitempty"`
	// Segment is what the interface is attached to, if that is more than this node.
	Segment string `json:"segment,omitempty"`
	// Addresses and Routes as they are on the interface, default routes included.
	Addresses []Address `json:"addresses,omitempty"`
	Routes    []Route   `json:"routes,omitempty"`
	// HostRoutes lead from the node to the Pod through HostIf.
	HostRoutes []netip.Prefix `json:"hostRoutes,omitempty"`
	// Masquerade is set when the configuration asks for ipMasq: the caller hides these addresses behind the node's own.
	Masquerade []netip.Addr `json:"masquerade,omitempty"`
	// Device is how a host-device was on the node.
	Device *Device `json:"device,omitempty"`
	// Function is what a card does with a virtual function. Userspace tells that a device has no interface: a program of the Pod drives it.
	Function  *Function `json:"function,omitempty"`
	Userspace bool      `json:"userspace,omitempty"`
	// Warnings are keys of the configuration that were ignored.
	Warnings []string `json:"warnings,omitempty"`
}

// Port is how a port of a bridge is, as far as it was asked for.
type Port struct {
	Hairpin  bool `json:"hairpin,omitempty"`
	Isolated bool `json:"isolated,omitempty"`
	// VLANs are those of a port with vlan or vlanTrunk.
	VLANs *link.PortVLANs `json:"vlans,omitempty"`
	// Guarded tells that frames with another address than the Pod's are dropped.
	Guarded bool `json:"guarded,omitempty"`
}

// Record is what the caller keeps of a Wired interface until Unwire. An incomplete one is fine for Unwire: ContainerID and IfName
// are enough for every kind, the rest makes it faster.
type Record = Wired

// Device is how a host-device was on the node before a Pod took it.
type Device struct {
	Name  string `json:"name"`
	MTU   int    `json:"mtu"`
	MAC   string `json:"mac"`
	Alias string `json:"alias,omitempty"`
	Up    bool   `json:"up"`
	// Function is what to tell its card when it comes back.
	Function *Function `json:"vf,omitempty"`
}
