package kind

import (
	"fmt"
	"net"
	"net/netip"
)

// Attachment is all that is needed to wire one interface of a Pod.
type Attachment struct {
	// ContainerID and IfName are the key of the interface: the sandbox and the name inside it.
	ContainerID string
	IfName      string
	// Network is what the user calls the network ("namespace/name"); it appears in errors only.
	Network string
	// Spec is the parsed plugin configuration.
	Spec Spec
	// MAC is the hardware address asked for; empty means one derived from the first address, so that an address used again keeps
	// the MAC that neighbours have cached.
	MAC net.HardwareAddr
	// MTU in bytes; 0 means the one of Spec, or else of the link below.
	MTU int
	// Addresses to put on the interface.
	Addresses []Address
	// Routes through the interface. One of length zero is honoured only when no other attachment owns the default route of
	// its family (the first attachment of the list wins).
	Routes []Route
	// DefaultRoute holds the gateways of the Pod's default routes, at most one per family, when this interface owns them.
	// Spec.DefaultGateways gives the ones natural to the kind.
	DefaultRoute []netip.Addr
	// Leave are destinations that other interfaces of the Pod lead to already, which are not among the attachments: they stay theirs.
	Leave []netip.Prefix
}

// blame says whose fault an error is: a Pod may have many networks.
func (a *Attachment) blame(err error) error {
	if a.Network == "" {
		return err
	}
	return fmt.Errorf("network %s (%s): %w", a.Network, a.IfName, err)
}

// Address is one address of an interface.
type Address struct {
	// Prefix is the host address with the length of its subnet.
	Prefix netip.Prefix `json:"prefix"`
	// Gateway of the subnet; invalid when there is none.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Quiet: the segment is not told that the address is here now, because another node's interface still speaks for it.
	Quiet bool `json:"-"`
	// Probe asks the segment whether a stranger has the address before the Pod gets it.
	Probe bool `json:"-"`
}

// Route is one route of an interface.
type Route struct {
	Dst netip.Prefix `json:"dst"`
	// Gateway is the next hop; invalid means, as in the reference plugins, the gateway of the interface's addresses (for pod the
	// link-local one), and on-link when they have none or Scope is link.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// MTU and AdvMSS in bytes, Priority (metric) and Table as in CNI 1.1; 0 is the kernel's own choice.
	MTU      int `json:"mtu,omitempty"`
	AdvMSS   int `json:"advmss,omitempty"`
	Priority int `json:"priority,omitempty"`
	Table    int `json:"table,omitempty"`
	// Scope as in rtnetlink (0 universe, 253 link, 254 host); nil is the kernel's own choice.
	Scope *int `json:"scope,omitempty"`
}
