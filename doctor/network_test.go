package doctor

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func config(text string) func(*Snapshot) {
	return func(s *Snapshot) { s.Definitions[1].Spec.Config = text }
}

// onNodes gives blue a reach, and has node1, node2, … say how it is there; "" says nothing.
func onNodes(phases ...v1alpha1.NetworkPhase) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Networks[0].Spec.Reach = &v1alpha1.Reach{Trunk: "eth1", VLAN: 120}
		for i, phase := range phases {
			n := v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node%d", i+1)}}
			state := v1alpha1.NodeNetworkState{Name: "blue", Phase: phase, Interface: "eth1"}
			switch phase {
			case v1alpha1.NetworkPhaseDegraded:
				state.Reason, state.Message = "VLANSilent", "gateway 10.0.0.1 does not answer in VLAN 120 of eth1"
			case v1alpha1.NetworkPhaseMissing:
				state.Reason, state.Message = "NoInterface", "the node has no interface eth1"
			}
			if phase != "" {
				n.Status.Networks = []v1alpha1.NodeNetworkState{state}
			}
			s.OnNodes = append(s.OnNodes, n)
		}
	}
}

const hand = "NetworkAttachmentDefinition demo/hand"

var networkDiagnoses = []diagnosis{
	{"ready", nothing, "TSU3001", nil, ""},
	{"the controller says why not", func(s *Snapshot) {
		s.Networks[0].Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "Overlap", Message: "subnets overlap"}}
	}, "TSU3001", []string{"error | Network blue | Overlap: subnets overlap"}, ""},
	{"nobody has looked, for want of a controller", func(s *Snapshot) {
		s.Networks[0].Status.Conditions = nil
		s.Deployments[0].Status.ReadyReplicas = 0
	}, "TSU3001", []string{"error | Network blue | has not said anything"}, "TSU2003"},
	{"just made", func(s *Snapshot) {
		s.Networks[0].Status.Conditions = nil
		s.Networks[0].CreationTimestamp = metav1.NewTime(now)
	}, "TSU3001", nil, ""},

	{"there", onNodes("Ready", "Missing"), "TSU3003", nil, ""},
	{"the switch port does not carry the VLAN", onNodes("Ready", "Degraded"), "TSU3003",
		[]string{"warning | Node node2 | Network blue: VLANSilent: gateway 10.0.0.1 does not answer | switch port of eth1 | gatewayCheck: Off"}, ""},
	{"on one node of two", onNodes("Ready", "Missing"), "TSU3004", nil, ""},
	{"on none", onNodes("Missing", "Degraded"), "TSU3004", []string{"error | Network blue | node1: the node has no interface eth1; node2: gateway 10.0.0.1 | spec.reach"}, ""},
	{"of a port group, that nobody wants", func(s *Snapshot) {
		onNodes()(s)
		s.Networks[0].Spec.Reach = &v1alpha1.Reach{PortGroup: &v1alpha1.PortGroup{Name: "vlan120"}}
	}, "TSU3004", nil, ""},
	{"no agent says a word", onNodes(""), "TSU3004", []string{"error | Network blue | no agent says anything | tsunagu status"}, ""},
	{"made this moment", func(s *Snapshot) {
		onNodes("")(s)
		s.Networks[0].CreationTimestamp = metav1.NewTime(now)
	}, "TSU3004", nil, ""},

	{"own definitions", nothing, "TSU3002", nil, ""},
	{"somebody else's", func(s *Snapshot) { s.Definitions[0].Labels = nil },
		"TSU3002", []string{"error | Network blue | demo/blue exists | delete network-attachment-definition blue"}, ""},
	{"in a namespace that is not permitted", func(s *Snapshot) {
		s.Definitions = append(s.Definitions, definition("default", "blue", `{"type":"ptp"}`))
	}, "TSU3002", nil, ""},
	{"in a namespace that a selector permits", func(s *Snapshot) {
		s.Namespaces[0].Labels = map[string]string{"team": "net"}
		s.Networks[0].Spec.Namespaces = &v1alpha1.NamespaceSelector{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "net"}}}
		s.Definitions = append(s.Definitions, definition("default", "blue", `{"type":"ptp"}`))
	}, "TSU3002", []string{"error | Network blue | default/blue"}, ""},

	{"in order", nothing, "TSU3101", nil, ""},
	{"a comma is missing", config("{\n  \"type\": \"macvlan\"\n  \"master\": \"up1\"}"),
		"TSU3101", []string{"error | " + hand + " | line 3, column 3 | edit network-attachment-definition hand"}, ""},
	{"an object where a list belongs", config(`{"plugins":{"type":"macvlan"}}`), "TSU3101", []string{"error | " + hand + " | line 1 | plugins"}, ""},
	{"empty", config(" "), "TSU3101", []string{"error | " + hand + " | spec.config is empty"}, ""},
	{"no plugins", config(`{"plugins":[]}`), "TSU3101", []string{"error | " + hand + " | empty list"}, ""},

	{"built in", nothing, "TSU3102", nil, ""},
	{"a slip", config(`{"type":"macvlam"}`), "TSU3102", []string{"warning | " + hand + ` | "macvlam" is not built in; did you mean macvlan?`}, ""},
	{"second in a list", config(`{"plugins":[{"type":"ptp"},{"type":"egress"}]}`), "TSU3102", []string{"info | " + hand + ` | "egress" (plugins[1])`}, ""},
	{"a second interface", config(`{"plugins":[{"type":"ptp"},{"type":"macvlan"}]}`), "TSU3102", []string{"error | " + hand + " | second interface | two definitions"}, ""},
	{"a chained one stands first", config(`{"type":"tuning"}`), "TSU3102", []string{"info | " + hand + ` | "tuning"`}, ""},
	{"no type", config(`{"name":"x"}`), "TSU3102", []string{"error | " + hand + " | without type"}, ""},

	{"built in", nothing, "TSU3103", nil, ""},
	{"foreign ipam", config(`{"type":"macvlan","ipam":{"type":"calico-ipam"}}`), "TSU3103", []string{"warning | " + hand + ` | ipam.type "calico-ipam" is not one of | whereabouts`}, ""},
	{"a slip", config(`{"type":"macvlan","ipam":{"type":"tsungu"}}`), "TSU3103", []string{"error | " + hand + ` | ipam.type "tsungu"`}, ""},
	{"nothing to take from", config(`{"type":"macvlan","ipam":{"type":"tsunagu"}}`), "TSU3103", []string{"error | " + hand + " | no pool and no range"}, ""},
	{"a text", config(`{"type":"macvlan","ipam":"dhcp"}`), "TSU3103", []string{"error | " + hand + " | ipam"}, ""},
	{"no addresses at all", config(`{"type":"macvlan"}`), "TSU3103", nil, ""},

	{"pools are there", nothing, "TSU3104", nil, ""},
	{"a name that is near", config(`{"type":"macvlan","ipam":{"type":"tsunagu","pools":["blue-v6"]}}`),
		"TSU3104", []string{"error | " + hand + " | no IPPool blue-v6; did you mean blue-v4?"}, ""},
	{"not made yet, as the Network is not ready", func(s *Snapshot) {
		s.Pools = nil
		s.Networks[0].Status.Conditions[0].Status = metav1.ConditionFalse
	}, "TSU3104", []string{"error | NetworkAttachmentDefinition demo/blue | no IPPool blue-v4"}, "TSU3001"},
}
