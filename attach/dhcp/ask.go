package dhcp

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Ask is an interface that asks for addresses. It is stored as JSON.
type Ask struct {
	Key ipam.Key `json:"key"`
	// NetNS is where the interface is, NetNSID the identity of the namespace, Index and MAC the interface's.
	NetNS   string           `json:"netns"`
	NetNSID netns.ID         `json:"netnsID"`
	Index   int              `json:"index"`
	MAC     net.HardwareAddr `json:"mac"`
	// Network is what people call the network.
	Network string `json:"network"`
	// ClientID is who asks: the server gives who has it the same address again (RFC 2132 section 9.14).
	ClientID string `json:"clientID"`
	// Raw: it is sent by DHCP for IPv4 as it is, and not as a name (type 0).
	Raw bool `json:"raw,omitempty"`
	// V4 and V6 say what is asked for.
	V4 bool `json:"v4,omitempty"`
	V6 bool `json:"v6,omitempty"`
	// Options are sent by DHCP for IPv4, Request are the numbers of those that are asked for.
	Options []Option `json:"options,omitempty"`
	Request []uint8  `json:"request,omitempty"`
	// Wishes are addresses that are asked for; any other is refused. At most one of a family.
	Wishes []netip.Addr `json:"wishes,omitempty"`
	// Use is what the follower does with what it gets.
	Use Use `json:"use"`
}

// Option is an option of DHCP for IPv4.
type Option struct {
	Code  uint8  `json:"code"`
	Value []byte `json:"value"`
}

// Use is what becomes of a lease on the interface.
type Use struct {
	// Default: the Pod leaves by this interface; by Gateways, or by the server's when there are none.
	Default bool `json:"default,omitempty"`
	// Needed: without a router of the server's it is refused.
	Needed   bool         `json:"needed,omitempty"`
	Gateways []netip.Addr `json:"gateways,omitempty"`
	// Metric of the routes, 0 for the kernel's own.
	Metric int `json:"metric,omitempty"`
	// MTU: the server may lower it.
	MTU bool `json:"mtu,omitempty"`
}

// ClientID names an interface of a Pod as the reference plugin does, by its sandbox, network and interface. Whoever's addresses outlive
// Pods is named in the sandbox's place.
func ClientID(owner, network, ifName string) string {
	id := strings.Join([]string{owner, network, ifName}, "/")
	if len(id) <= mostClientID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return id[:mostClientID-17] + "-" + hex.EncodeToString(sum[:8])
}

// mostClientID is what fits into the option with its type (RFC 2132 section 9.14).
const mostClientID = 254

// wish is the address of a family that is asked for, if there is one.
func (a Ask) wish(v4 bool) netip.Addr {
	for _, w := range a.Wishes {
		if w.Is4() == v4 {
			return w
		}
	}
	return netip.Addr{}
}

// Provide sets an option of DHCP for IPv4 that is sent. The client identifier is sent as it is written.
func (a *Ask) Provide(code uint8, value string) {
	switch code {
	case 61:
		a.ClientID, a.Raw = value, true
	case 77: // RFC 3004: each class behind its length
		a.Options = append(a.Options, Option{code, append([]byte{byte(len(value))}, value...)})
	default:
		a.Options = append(a.Options, Option{code, []byte(value)})
	}
}
