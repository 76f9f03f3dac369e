package kind

import (
	"net"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Spec is the parsed configuration of one interface. The kinds of this package are the only ones: Loopback, Pod, PTP, Bridge,
// Macvlan, IPVLAN, VLAN, Trunk, Tap, Dummy, OVS, SRIOV, HostDevice.
type Spec interface {
	// Type is the CNI plugin name.
	Type() string
	// Masquerade tells that the configuration asks for ipMasq, which the caller must do or refuse.
	Masquerade() bool
	// DefaultGateways are the gateways by which this kind leaves when it is given the default route without being told one: for
	// pod the link-local ones of the node's end, for ptp and bridge those of the addresses; one per family at most.
	DefaultGateways([]Address) []netip.Addr
	// WantsDefault tells that the configuration itself asks for the default route (pod always, bridge with isDefaultGateway).
	WantsDefault() bool
	// Segment names, on this node, what the interface is attached to; "" for kinds that never leave the node.
	Segment() string
	// Warnings names keys of the configuration that have no meaning here and are ignored.
	Warnings() []string

	// check refuses an attachment that this kind cannot carry.
	check(*Attachment) error
	// link is the MAC and MTU of the configuration; nil and 0 when it has none.
	link() (net.HardwareAddr, int)
	// leaves tells whether the segment is more than this node; prepare has been called.
	leaves(*job) bool
	// routed tells that the far end is the node's router, so that any gateway is reached over it.
	routed() bool
	// keepsMAC tells that the interface has the hardware address of another, unless one is asked for.
	keepsMAC() bool
	// stacked tells that the interface is made inside the Pod, when those made from the node are there.
	stacked() bool
	// notices are the sysctls of an interface with addresses.
	notices() notices
	// module is what the kernel needs for it; zero for what every kernel has.
	module() kernelModule
	// inUse says why the kernel refuses it as being there already.
	inUse() string
	// ownRoutes are routes that the kind itself brings, before those of the attachment.
	ownRoutes(*Attachment) []Route
	// prepare looks up or makes on the node what the interface stands on.
	prepare(*transaction, *job) error
	// create is the operation on the node that makes the interface; false when there is nothing to make.
	create(*transaction, *job) (link.Op, bool)
	// finish are the operations on the node once the interface exists.
	finish(*transaction, *job) []link.Op
	// record adds what only this kind knows.
	record(*job, *Wired)
}

// plain is the part of a Spec that most kinds leave at its default.
type plain struct{ ignored []string }

func (p plain) Warnings() []string                      { return p.ignored }
func (plain) Masquerade() bool                          { return false }
func (plain) WantsDefault() bool                        { return false }
func (plain) Segment() string                           { return "" }
func (plain) DefaultGateways(as []Address) []netip.Addr { return gateways(as) }

func (plain) check(*Attachment) error                   { return nil }
func (plain) link() (net.HardwareAddr, int)             { return nil, 0 }
func (plain) leaves(*job) bool                          { return false }
func (plain) routed() bool                              { return false }
func (plain) keepsMAC() bool                            { return false }
func (plain) stacked() bool                             { return false }
func (plain) notices() notices                          { return notices{} }
func (plain) module() kernelModule                      { return kernelModule{} }
func (plain) inUse() string                             { return "has another use" }
func (plain) ownRoutes(*Attachment) []Route             { return nil }
func (plain) prepare(*transaction, *job) error          { return nil }
func (plain) create(*transaction, *job) (link.Op, bool) { return link.Op{}, false }
func (plain) finish(*transaction, *job) []link.Op       { return nil }
func (plain) record(*job, *Wired)                       {}

// KeepsMAC tells that interfaces of a Spec have the hardware address of something that is there already, unless one is asked for.
func KeepsMAC(s Spec) bool { return s.keepsMAC() }

// notices are what an interface does when it gets addresses, as the reference plugins set it.
type notices struct {
	// arp and ndisc tell neighbours of its addresses whenever it comes up (arp_notify, ndisc_notify).
	arp, ndisc bool
	// dad is accept_dad: "0" for no detection of duplicates, "1" for it; "" leaves it as it is.
	dad string
}
