package kind

import "net/netip"

// Spec is the parsed configuration of one interface. The kinds of this package are the only ones: Loopback, Pod, PTP, Bridge,
// Macvlan, HostDevice.
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
	// Warnings names keys of the configuration that have no meaning here and are ignored.
	Warnings() []string

	// check refuses an attachment that this kind cannot carry.
	check(*Attachment) error
}
