package overlay

import (
	"fmt"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Encap is how packets travel between nodes.
type Encap string

const (
	// GPE puts them into UDP without an inner Ethernet header (VXLAN-GPE, draft-ietf-nvo3-vxlan-gpe): 36 bytes over IPv4, 56 over IPv6.
	GPE Encap = "vxlan-gpe"
	// None routes them as they are; all nodes must be on one segment.
	None Encap = "none"
	// Auto is None for nodes on a segment of ours and GPE for others. Pods get the smaller MTU, so that any node can become far.
	Auto Encap = "auto"
)

// ParseEncap reads one of the three words; "" is GPE.
func ParseEncap(s string) (Encap, error) {
	switch e := Encap(s); e {
	case "":
		return GPE, nil
	case GPE, None, Auto:
		return e, nil
	}
	return "", fmt.Errorf("overlay encap %q is unknown: use %s, %s or %s", s, GPE, None, Auto)
}

// DefaultPort is the UDP port of VXLAN-GPE (IANA).
const DefaultPort = 4790

// DefaultVNI is the network identifier of the pod network.
const DefaultVNI = 1

// Config says how the overlay works. The zero value works, without masquerading.
type Config struct {
	Encap Encap
	// VNI is the network identifier, 1 to 16777215; 0 is DefaultVNI. Port is the UDP port, 0 is DefaultPort. Equal on all nodes.
	VNI, Port int
	// MTU is of packets between nodes, in bytes, with all headers; 0 is the MTU of the interface that has the node's address.
	MTU int
	// Masquerade hides Pods behind the node's address when they talk to anybody who is no Pod.
	Masquerade bool
	// RulesOnly leaves reach between nodes to others: only the node's nft table is kept, for host ports and masquerading.
	RulesOnly bool
	// Namespace is the network namespace of the node; nil is the process's own.
	Namespace *netns.Namespace
}

func (c Config) complete() (Config, error) {
	var err error
	if c.Encap, err = ParseEncap(string(c.Encap)); err != nil {
		return c, err
	}
	if c.VNI == 0 {
		c.VNI = DefaultVNI
	}
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	switch {
	case c.VNI < 0 || c.VNI >= 1<<24:
		return c, fmt.Errorf("overlay VNI %d is not between 1 and %d", c.VNI, 1<<24-1)
	case c.Port < 0 || c.Port > 65535:
		return c, fmt.Errorf("overlay port %d is not between 1 and 65535", c.Port)
	case c.MTU != 0 && (c.MTU < minUnderlayMTU || c.MTU > 65535):
		return c, fmt.Errorf("overlay MTU %d is not between %d and 65535", c.MTU, minUnderlayMTU)
	}
	return c, nil
}
