package node

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/near"
)

// Interface is an interface of the node that a Network can use.
type Interface struct {
	Index       int
	Name        string
	MAC         net.HardwareAddr
	PCI, Driver string
	MTU         int
	// Up is the administrative state, Carrier tells that the link works.
	Up, Carrier bool
	// Bridge is the index of the bridge that it is a port of, 0 for none.
	Bridge int
}

// Network is a Network with a reach, as far as a node must know it.
type Network struct {
	Name string
	// Interface is on the segment, or Trunk carries it as VLAN. Card is the MAC of the card that the node was given for it, and takes the
	// place of a name.
	Interface, Trunk string
	VLAN             int
	Card             net.HardwareAddr
	// Gateways are asked for before the node is said to have the Network; behind a trunk in the VLAN.
	Gateways []Gateway
}

// Gateway is an address that answers where the segment is.
type Gateway struct {
	Address netip.Addr
	// Required is false when silence is told and has no consequence.
	Required bool
}

// Reasons of a State.
const (
	NoInterface     = "NoInterface"
	InterfaceDown   = "InterfaceDown"
	NoCarrier       = "NoCarrier"
	GatewaySilent   = "GatewaySilent"
	CardNotSeen     = "CardNotSeen"
	VLANSilent      = "VLANSilent"
	NotAsked        = "NotAsked"
	GatewayAnswered = "GatewayAnswered"
)

// Ask is a question for a gateway on an interface, in one of its VLANs or, with 0, without a tag.
type Ask struct {
	Interface, VLAN int
	Target          netip.Addr
}

// On finds the interface that a network uses.
func (n Network) On(have []Interface) (Interface, bool) {
	i := slices.IndexFunc(have, func(i Interface) bool {
		if n.Card != nil {
			return bytes.Equal(i.MAC, n.Card)
		}
		return i.Name == cmp.Or(n.Interface, n.Trunk)
	})
	if i < 0 {
		return Interface{}, false
	}
	return have[i], true
}

// Asks are the questions that must be asked before Judge.
func Asks(networks []Network, have []Interface) []Ask {
	var asks []Ask
	for _, n := range networks {
		i, found := n.On(have)
		if !found || !i.Up || !i.Carrier {
			continue
		}
		for _, g := range n.Gateways {
			if a := (Ask{i.Index, n.VLAN, g.Address}); !slices.Contains(asks, a) {
				asks = append(asks, a)
			}
		}
	}
	return asks
}

// Judge says of each network whether the node has it, in the order of their names. Silent are the questions that nobody answered.
func Judge(networks []Network, have []Interface, silent map[Ask]bool) []v1alpha1.NodeNetworkState {
	states := make([]v1alpha1.NodeNetworkState, 0, len(networks))
	for _, n := range networks {
		s := n.judge(have, silent)
		s.Name = n.Name
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b v1alpha1.NodeNetworkState) int { return cmp.Compare(a.Name, b.Name) })
	return states
}

func (n Network) judge(have []Interface, silent map[Ask]bool) v1alpha1.NodeNetworkState {
	state := func(p v1alpha1.NetworkPhase, on, reason, format string, args ...any) v1alpha1.NodeNetworkState {
		return v1alpha1.NodeNetworkState{Phase: p, Interface: on, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	i, found := n.On(have)
	switch {
	case !found && n.Card != nil:
		return state(v1alpha1.NetworkPhaseMissing, "", CardNotSeen, "the node has no interface with MAC %s, the card that it was given", n.Card)
	case !found:
		return state(v1alpha1.NetworkPhaseMissing, "", NoInterface, "%s", missing(cmp.Or(n.Interface, n.Trunk), have))
	case !i.Up:
		return state(v1alpha1.NetworkPhaseDegraded, i.Name, InterfaceDown, "interface %s is down: ip link set %s up", i.Name, i.Name)
	case !i.Carrier:
		return state(v1alpha1.NetworkPhaseDegraded, i.Name, NoCarrier, "interface %s has no carrier: its cable, switch port or virtual card is not connected", i.Name)
	}
	said := state(v1alpha1.NetworkPhaseReady, i.Name, NotAsked, "")
	if n.Trunk != "" {
		said.Message = fmt.Sprintf("VLAN %d of trunk %s; nobody is asked whether the switch carries it: no subnet has a gateway that is to be asked for", n.VLAN, i.Name)
	}
	for _, g := range n.Gateways {
		if silent[Ask{i.Index, n.VLAN, g.Address}] {
			phase := v1alpha1.NetworkPhaseReady
			if g.Required {
				phase = v1alpha1.NetworkPhaseDegraded
			}
			reason, why := GatewaySilent, fmt.Sprintf("gateway %s does not answer on %s: the interface is on another segment, or the gateway is off", g.Address, i.Name)
			if n.Trunk != "" {
				reason, why = VLANSilent, fmt.Sprintf("gateway %s does not answer in VLAN %d of %s: the switch port does not carry the VLAN, or the gateway is off (gatewayCheck: Off of the subnet asks nobody)", g.Address, n.VLAN, i.Name)
			}
			said = state(phase, i.Name, reason, "%s", why)
			if g.Required {
				return said
			}
		} else if said.Reason == NotAsked {
			said.Reason, said.Message = GatewayAnswered, ""
		}
	}
	return said
}

// missing says that there is no interface of a name, and which there are.
func missing(name string, have []Interface) string {
	var names []string
	for _, i := range have {
		names = append(names, i.Name)
	}
	text := "the node has no interface " + name
	if meant := near.Names(name, names); len(meant) > 0 {
		return text + "; it has " + strings.Join(meant, " and ")
	}
	if slices.Sort(names); len(names) > 0 {
		return text + "; it has " + strings.Join(names[:min(len(names), 8)], ", ")
	}
	return text
}
