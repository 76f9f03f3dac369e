package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var networkLost = Check{
	Code:  "TSU3003",
	Title: "a node has lost a Network",
	Explain: `The agent looks every few seconds whether a Network is really there: the interface, its carrier, the gateway where it is asked for. A node on which ` +
		`one is Degraded gets no new Pods of it; those that run stay, and most likely reach nobody. That a node has no interface for a Network at all is no fault: ` +
		`not every Network is everywhere.`,
	Needs: []Part{OnNodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, n := range s.OnNodes {
			for _, state := range n.Status.Networks {
				if state.Phase != v1alpha1.NetworkPhaseDegraded {
					continue
				}
				found = append(found, Finding{
					Severity: Warning,
					Object:   Object{"Node", "", n.Name},
					Cause:    fmt.Sprintf("Network %s: %s: %s", state.Name, state.Reason, state.Message),
					Breaks:   "Pods on it there may reach nobody, and new ones are scheduled elsewhere",
					Fix:      lostFix(state),
				})
			}
		}
		return found
	},
}

// lostFix is what to do about it, by the reasons of node.
func lostFix(state v1alpha1.NodeNetworkState) string {
	switch state.Reason {
	case "VLANSilent":
		return "have the switch port of " + state.Interface + " carry the VLAN (on vSphere the VLAN range of the trunk port group); where the gateway does not answer on purpose: gatewayCheck: Off of the subnet"
	case "GatewaySilent":
		return "see on which segment " + state.Interface + " is (switch port, port group), and whether the gateway is on"
	case "NoCarrier":
		return "connect it: cable, switch port, or the virtual card's Connected"
	case "InterfaceDown":
		return "ip link set " + state.Interface + " up, and have the node's own configuration do so"
	}
	return "change what the message names; kubectl describe nodenetworks shows it"
}

var networkNowhere = Check{
	Code:  "TSU3004",
	Title: "a Network that no node has",
	Explain: `No node has the interface, the trunk or the card of the Network, or all have lost it: every Pod that selects it waits. Networks on port groups of ` +
		`vSphere are on no node until a Pod wants them, and are not meant.`,
	Needs: []Part{Networks, OnNodes, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, n := range s.Networks {
			if n.Spec.Reach == nil || n.Spec.Reach.PortGroup != nil || len(s.OnNodes) == 0 || s.Time.Sub(n.CreationTimestamp.Time) < settling {
				continue
			}
			var why []string
			ready := false
			for _, on := range s.OnNodes {
				at := slices.IndexFunc(on.Status.Networks, func(state v1alpha1.NodeNetworkState) bool { return state.Name == n.Name })
				if at < 0 {
					continue
				}
				state := on.Status.Networks[at]
				ready = ready || state.Phase == v1alpha1.NetworkPhaseReady
				why = append(why, on.Name+": "+state.Message)
			}
			if ready {
				continue
			}
			object := Object{"Network", "", n.Name}
			f := Finding{Severity: Error, Object: object, Breaks: "every Pod that selects it waits for ever",
				Fix: "name an interface that nodes have, in spec.reach, or bring the nodes to the segment"}
			switch {
			case len(why) == 0:
				f.Cause = "no agent says anything of it"
				f.Fix = "see whether agents run: tsunagu status"
			default:
				f.Cause = strings.Join(why[:min(len(why), 3)], "; ")
				if more := len(why) - 3; more > 0 {
					f.Cause += fmt.Sprintf("; and %d more nodes", more)
				}
			}
			found = append(found, f)
		}
		return found
	},
}
