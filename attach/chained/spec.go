package chained

import (
	"net"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Spec is the parsed configuration of one chained plugin that is built in.
type Spec interface {
	// Type is the CNI plugin name.
	Type() string
}

// Call is one interface of a Pod on which a chain works.
type Call struct {
	// ContainerID and IfName are the key of the interface.
	ContainerID, IfName string
	// Network is what the user calls it ("namespace/name"), Name the name in its configuration.
	Network, Name string
	// NetNS is the path of the sandbox's namespace; "" when it is gone, which only Del meets.
	NetNS string
	// Namespace, Pod and UID are whose it is.
	Namespace, Pod, UID string
	// Wired is the interface as those before have made it: prevResult. For Del it may hold no more than the key.
	Wired kind.Wired
	// Runtime is what the Pod asks of this interface, of the capabilities that the plugin declares.
	Runtime Runtime
}

// Runtime is what a Pod asks for by capabilities (CNI conventions, runtimeConfig); zero for nothing.
type Runtime struct {
	MAC          net.HardwareAddr   `json:"mac,omitempty"`
	PortMappings []hostport.Mapping `json:"portMappings,omitempty"`
	Bandwidth    *Bandwidth         `json:"bandwidth,omitempty"`
}

// Bandwidth is a limit in bits per second, bursts in bits; 0 is none.
type Bandwidth struct {
	IngressRate  uint64 `json:"ingressRate,omitempty"`
	IngressBurst uint64 `json:"ingressBurst,omitempty"`
	EgressRate   uint64 `json:"egressRate,omitempty"`
	EgressBurst  uint64 `json:"egressBurst,omitempty"`
}

// Names lists the built-in types, in order.
func Names() []string { return []string{"tuning", "sbr", "vrf", "portmap", "bandwidth", "firewall"} }

// Known tells whether a CNI plugin type is built in as a chained one.
func Known(typ string) bool { return slices.Contains(Names(), typ) }

// Parse reads the configuration of one chained plugin of a Known type. Errors are kind.Refusals. Keys of CNI itself are passed over.
func Parse(typ string, raw []byte) (Spec, error) {
	switch typ {
	case "tuning":
		return parseTuning(raw)
	case "sbr":
		return parseSBR(raw)
	case "vrf":
		return parseVRF(raw)
	case "portmap":
		return parsePortMap(raw)
	case "bandwidth":
		return parseBandwidth(raw)
	case "firewall":
		return parseFirewall(raw)
	}
	return nil, kind.UnknownKind{Type: typ}
}
