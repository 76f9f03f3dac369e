package manifest

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rule is one object and a piece of what the API server says to it; an empty
// piece means that it is accepted.
type rule struct{ name, object, says string }

func network(spec string) string {
	return "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: blue}\nspec: " + spec
}

func subnet(s string) string {
	return network("{attachment: {kind: macvlan}, reach: {interface: up1}, subnets: [" + s + "]}")
}

func pool(spec string) string {
	return "apiVersion: tsunagu.dev/v1alpha1\nkind: IPPool\nmetadata: {name: p}\nspec: " + spec
}

var networkRules = []rule{
	{"macvlan", subnet("{cidr: 192.168.1.0/24, gateway: 192.168.1.1}"), ""},
	{"dual stack", subnet("{cidr: 192.168.1.0/24}, {cidr: 'fd00:1::/64', gateway: 'fd00:1::1'}"), ""},
	{"L2 only", network("{attachment: {kind: bridge}}"), ""},
	{"ptp", network("{attachment: {kind: ptp}, subnets: [{cidr: 10.1.0.0/16}]}"), ""},
	{"bridge with uplink", network("{attachment: {kind: bridge, bridge: br9}, reach: {interface: up2}}"), ""},
	{"modes", network("{attachment: {kind: macvlan, mode: private}, reach: {interface: up1}}"), ""},

	{"long name", "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: " + strings.Repeat("a", 64) + "}\nspec: {attachment: {kind: bridge}}", "use at most 63 lower-case letters, digits and '-'"},
	{"dotted name", "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: a.b}\nspec: {attachment: {kind: bridge}}", "use at most 63 lower-case letters"},
	{"reserved name", "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: pods}\nspec: {attachment: {kind: bridge}}", "the name pods and names that begin with x-- are taken"},
	{"unknown kind", network("{attachment: {kind: sriov}}"), `supported values: "macvlan", "bridge", "ptp", "host-device"`},
	{"no kind", network("{attachment: {}}"), "spec.attachment.kind: Required"},
	{"misspelt field", network("{attachment: {kind: bridge, mtuu: 9000}}"), "unknown field"},
	{"VLAN of a trunk", network("{attachment: {kind: bridge, antiSpoof: mac}, reach: {trunk: eth1, vlan: 120, datapath: ebpf}}"), ""},
	{"trunk lo", network("{attachment: {kind: bridge}, reach: {trunk: lo, vlan: 120}}"), "reach.trunk must be a network interface of the node"},
	{"trunk without VLAN", network("{attachment: {kind: bridge}, reach: {trunk: eth1}}"), "reach.trunk and reach.vlan belong together"},
	{"VLAN without trunk", network("{attachment: {kind: bridge}, reach: {vlan: 120}}"), "reach.trunk and reach.vlan belong together"},
	{"VLAN 0", network("{attachment: {kind: bridge}, reach: {trunk: eth1, vlan: 0}}"), "greater than or equal to 1"},
	{"VLAN 4095", network("{attachment: {kind: bridge}, reach: {trunk: eth1, vlan: 4095}}"), "less than or equal to 4094"},
	{"trunk and interface", network("{attachment: {kind: bridge}, reach: {trunk: eth1, vlan: 120, interface: eth2}}"), "give one of them"},
	{"macvlan on a VLAN", network("{attachment: {kind: macvlan}, reach: {trunk: eth1, vlan: 120}}"), "attached by kind bridge"},
	{"a bridge for a VLAN", network("{attachment: {kind: bridge, bridge: br0}, reach: {trunk: eth1, vlan: 120}}"), "leave attachment.bridge out"},
	{"datapath without trunk", network("{attachment: {kind: bridge}, reach: {interface: up1, datapath: ebpf}}"), "option of reach.trunk"},
	{"antiSpoof without trunk", network("{attachment: {kind: bridge, antiSpoof: mac}, reach: {interface: up1}}"), "option of networks with reach.trunk"},
	{"macvlan without interface", network("{attachment: {kind: macvlan}}"), "needs reach.interface"},
	{"port group", network("{attachment: {kind: macvlan}, reach: {portGroup: {name: vlan120, maxNodes: 3, idleAfter: 10m}}}"), ""},
	{"bridge on a port group", network("{attachment: {kind: bridge}, reach: {portGroup: {name: /DC0/network/vlan120}}}"), ""},
	{"host-device of a port group", network("{attachment: {kind: host-device}, reach: {portGroup: {name: vlan120}, interface: eth1}}"), "its card serves many Pods"},
	{"port group and interface", network("{attachment: {kind: macvlan}, reach: {portGroup: {name: vlan120}, interface: eth1}}"), "give one of them"},
	{"port group without a name", network("{attachment: {kind: macvlan}, reach: {portGroup: {}}}"), "name"},
	{"port group for no node", network("{attachment: {kind: macvlan}, reach: {portGroup: {name: a, maxNodes: -1}}}"), "greater than or equal to 1"},
	{"port group that is idle before", network("{attachment: {kind: macvlan}, reach: {portGroup: {name: a, idleAfter: -1s}}}"), "not negative"},
	{"host-device without interface", network("{attachment: {kind: host-device}, reach: {}}"), "needs reach.interface"},
	{"ptp with interface", network("{attachment: {kind: ptp}, reach: {interface: up1}, subnets: [{cidr: 10.0.0.0/8}]}"), "ptp is routed and has no uplink"},
	{"ptp without addresses", network("{attachment: {kind: ptp}}"), "ptp is routed and needs subnets"},
	{"mode of a bridge", network("{attachment: {kind: bridge, mode: vepa}}"), "mode is an option of kind macvlan"},
	{"unknown mode", network("{attachment: {kind: macvlan, mode: passthrough}, reach: {interface: up1}}"), `supported values: "bridge", "private", "vepa", "passthru"`},
	{"bridge of a macvlan", network("{attachment: {kind: macvlan, bridge: br0}, reach: {interface: up1}}"), "bridge is an option of kind bridge"},
	{"bridge is its own port", network("{attachment: {kind: bridge, bridge: up1}, reach: {interface: up1}}"), "so they must differ"},
	{"long interface", network("{attachment: {kind: bridge}, reach: {interface: a123456789012345}}"), "may not be more than 15"},
	{"interface with slash", network("{attachment: {kind: bridge}, reach: {interface: a/b}}"), "should match"},
	{"interface lo", network("{attachment: {kind: macvlan}, reach: {interface: lo}}"), "must be a network interface of the node"},
	{"tiny mtu", network("{attachment: {kind: bridge, mtu: 60}}"), "should be greater than or equal to 68"},
	{"mtu too small for IPv6", network("{attachment: {kind: bridge, mtu: 1000}, subnets: [{cidr: 'fd00::/64'}]}"), "at least 1280 (RFC 8200 section 5)"},
	{"small mtu for IPv4", network("{attachment: {kind: bridge, mtu: 1000}, subnets: [{cidr: 10.0.0.0/24}]}"), ""},

	{"not a CIDR", subnet("{cidr: 192.168.1.0}"), "cidr must be an address and prefix length"},
	{"host bits", subnet("{cidr: 192.168.1.7/24}"), "bits set behind its prefix length"},
	{"gateway is no address", subnet("{cidr: 192.168.1.0/24, gateway: router}"), "gateway must be an IP address"},
	{"gateway outside", subnet("{cidr: 192.168.1.0/24, gateway: 192.168.2.1}"), "gateway must lie inside cidr"},
	{"gateway of the other family", subnet("{cidr: 192.168.1.0/24, gateway: 'fd00::1'}"), "gateway must lie inside cidr"},
	{"one subnet twice", subnet("{cidr: 192.168.1.0/24}, {cidr: 192.168.1.0/24}"), "Duplicate value"},
	{"subnets overlap", subnet("{cidr: 192.168.0.0/16}, {cidr: 192.168.1.0/24}"), "must not overlap"},

	{"ranges", subnet("{cidr: 192.168.1.0/24, ranges: [192.168.1.10-192.168.1.20, 192.168.1.128/25]}"), ""},
	{"range of nonsense", subnet("{cidr: 192.168.1.0/24, ranges: [some]}"), "each of ranges must be first-last or a CIDR"},
	{"range half", subnet("{cidr: 192.168.1.0/24, ranges: [192.168.1.1-]}"), "each of ranges must be first-last or a CIDR"},
	{"range outside", subnet("{cidr: 192.168.1.0/24, ranges: [192.168.1.10-192.168.2.20]}"), "each of ranges must lie inside cidr"},
	{"range CIDR outside", subnet("{cidr: 192.168.1.0/24, ranges: [192.168.0.0/23]}"), "each of ranges must lie inside cidr"},
	{"static ranges", subnet("{cidr: 192.168.1.0/24, staticRanges: [192.168.1.10-192.168.1.20, 192.168.1.128/25, 192.168.1.7]}"), ""},
	{"static range of nonsense", subnet("{cidr: 192.168.1.0/24, staticRanges: [some]}"), "each of staticRanges must be an address, a CIDR or first-last"},
	{"static range outside", subnet("{cidr: 192.168.1.0/24, staticRanges: [192.168.2.7]}"), "each of staticRanges must lie inside cidr"},
	{"static range half outside", subnet("{cidr: 192.168.1.0/24, staticRanges: [192.168.1.10-192.168.2.20]}"), "each of staticRanges must lie inside cidr"},
	{"policy", subnet("{cidr: 192.168.1.0/24, order: Cooldown, cooldown: 1m, sticky: Claimed, retention: 24h, nodeLoss: Never, quotas: [{namespace: '*', max: 5}], conflictDetection: 'Off', quarantine: 1h, gatewayCheck: Warn, macPrefix: '02:0a', fallback: [b]}"), ""},
	{"cooldown too long", subnet("{cidr: 192.168.1.0/24, cooldown: 25h}"), "cooldown must be between 0s and 24h"},
	{"quarantine too short", subnet("{cidr: 192.168.1.0/24, quarantine: 10ms}"), "quarantine must be between 1s and 720h"},
	{"group MAC", subnet("{cidr: 192.168.1.0/24, macPrefix: '03:0a'}"), "macPrefix"},
	{"retention of nonsense", subnet("{cidr: 192.168.1.0/24, retention: soon}"), "retention"},
	{"exclude", subnet("{cidr: 'fd00::/64', exclude: ['fd00::1', 'fd00::100/120', 'fd00::5-fd00::9']}"), ""},
	{"exclude of nonsense", subnet("{cidr: 192.168.1.0/24, exclude: [192.168.1.300]}"), "each of exclude must be an address, a CIDR or first-last"},

	{"routes", subnet("{cidr: 192.168.1.0/24, gateway: 192.168.1.1, routes: [{dst: 10.0.0.0/8}, {dst: 0.0.0.0/0, gw: 192.168.1.2}]}"), ""},
	{"link-local next hop", subnet("{cidr: 'fd00::/64', routes: [{dst: 'fd01::/64', gw: 'fe80::1'}]}"), ""},
	{"route to an address", subnet("{cidr: 192.168.1.0/24, routes: [{dst: 10.0.0.1}]}"), "dst must be an address and prefix length"},
	{"route by nobody", subnet("{cidr: 192.168.1.0/24, routes: [{dst: 10.0.0.0/8, gw: x}]}"), "gw must be an IP address"},
	{"route by an outsider", subnet("{cidr: 192.168.1.0/24, routes: [{dst: 10.0.0.0/8, gw: 10.0.0.1}]}"), "gw must lie inside cidr"},
	{"route of the other family", subnet("{cidr: 192.168.1.0/24, routes: [{dst: 'fd00::/8'}]}"), "must be of the subnet's address family"},

	{"namespaces", network("{attachment: {kind: bridge}, namespaces: {names: [a, b], selector: {matchLabels: {team: blue}}}}"), ""},
	{"namespace twice", network("{attachment: {kind: bridge}, namespaces: {names: [a, a]}}"), "Duplicate value"},
	{"namespace of nonsense", network("{attachment: {kind: bridge}, namespaces: {names: ['A/b']}}"), "should match"},
}

var objectRules = []rule{
	{"pool", pool("{cidr: 10.0.0.0/8, domain: x, blockSize: 8}"), ""},
	{"pool block size", pool("{cidr: 10.0.0.0/8, blockSize: 3}"), "Unsupported value: 3"},
	{"pool domain", pool("{cidr: 10.0.0.0/8, domain: A_b}"), "should match"},
	{"pod network's domain", pool("{cidr: 10.0.0.0/8, domain: pods}"), "is that of the pod network itself"},
	{"pool static range of nonsense", pool("{cidr: 192.168.1.0/24, staticRanges: [some]}"), "each of staticRanges must be an address, a CIDR or first-last"},
	{"pool static range outside", pool("{cidr: 192.168.1.0/24, staticRanges: [192.168.0.0/23]}"), "each of staticRanges must lie inside cidr"},
	{"pool cooldown below zero", pool("{cidr: 192.168.1.0/24, cooldown: -1s}"), "cooldown must be between 0s and 24h"},
	{"pool quarantine too long", pool("{cidr: 192.168.1.0/24, quarantine: 1000h}"), "quarantine must be between 1s and 720h"},
	{"pool in a quota's domain", pool("{domain: q--x, cidr: 192.168.1.0/24}"), "domains that begin with q-- are those of quotas"},
	{"pool gateway", pool("{cidr: 10.0.0.0/8, gateway: 11.0.0.1}"), "gateway must lie inside cidr"},
	{"block", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPBlock, metadata: {name: b}, spec: {domain: d, cidr: 10.0.0.0/26, owner: {node: n1, nodeUID: u}, state: Owned}}", ""},
	{"block state", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPBlock, metadata: {name: b}, spec: {domain: d, cidr: 10.0.0.0/26, owner: {node: n1, nodeUID: u}, state: Lost}}", "Unsupported value: \"Lost\""},
	{"block cidr", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPBlock, metadata: {name: b}, spec: {domain: d, cidr: 10.0.0.0, owner: {node: n1, nodeUID: u}, state: Owned}}", "cidr must be an address and prefix length"},
	{"region", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPRegion, metadata: {name: r}, spec: {domain: d, cidr: 10.0.0.0/24, unit: 64}}", ""},
	{"region unit", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPRegion, metadata: {name: r}, spec: {domain: d, cidr: 10.0.0.0/24, unit: 128}}", "less than or equal to 64"},
	{"region cidr", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPRegion, metadata: {name: r}, spec: {domain: d, cidr: x, unit: 64}}", "cidr must be an address and prefix length"},
	{"address", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPAddress, metadata: {name: a}, spec: {domain: d, address: 'fd00::1', owner: {node: n1, nodeUID: u, namespace: d, pod: p, podUID: u, containerID: c, interface: net1}}}", ""},
	{"address of nonsense", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPAddress, metadata: {name: a}, spec: {domain: d, address: 'fd00::/64', owner: {node: n1, nodeUID: u, namespace: d, pod: p, podUID: u, containerID: c, interface: net1}}}", "address must be an IP address"},
	{"claim", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPClaim, metadata: {name: c}, spec: {network: blue, addresses: [10.0.0.7, 'fd00::7'], retention: 1h30m}}", ""},
	{"claim of nonsense", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPClaim, metadata: {name: c}, spec: {network: blue, addresses: [10.0.0.0/24]}}", "each of addresses must be an IP address"},
	{"claim kept for a word", "{apiVersion: tsunagu.dev/v1alpha1, kind: IPClaim, metadata: {name: c}, spec: {network: blue, retention: always}}", "should match"},
	{"definition", "{apiVersion: k8s.cni.cncf.io/v1, kind: NetworkAttachmentDefinition, metadata: {name: n}, spec: {config: '{}'}}", ""},
	{"definition without spec", "{apiVersion: k8s.cni.cncf.io/v1, kind: NetworkAttachmentDefinition, metadata: {name: n}}", ""},
}

func TestRules(t *testing.T) {
	have := schemas(t)
	for _, r := range append(networkRules, objectRules...) {
		t.Run(r.name, func(t *testing.T) {
			o := parse(t, r.object)
			judge(t, have[o.GetKind()].Check(&o, nil), r.says)
		})
	}
}

// What may not change, because names or running Pods depend on it.
func TestChangeRules(t *testing.T) {
	block := func(cidr, uid string) string {
		return "{apiVersion: tsunagu.dev/v1alpha1, kind: IPBlock, metadata: {name: b}, spec: {domain: d, cidr: " + cidr + ", owner: {node: n1, nodeUID: " + uid + "}, state: Owned}}"
	}
	region := func(unit string) string {
		return "{apiVersion: tsunagu.dev/v1alpha1, kind: IPRegion, metadata: {name: r}, spec: {domain: d, cidr: 10.0.0.0/24, unit: " + unit + "}}"
	}
	address := func(a string) string {
		return "{apiVersion: tsunagu.dev/v1alpha1, kind: IPAddress, metadata: {name: a}, spec: {domain: d, address: " + a + ", owner: {node: n1, nodeUID: u, namespace: d, pod: p, podUID: u, containerID: c, interface: net1}}}"
	}
	claim := func(network string) string {
		return "{apiVersion: tsunagu.dev/v1alpha1, kind: IPClaim, metadata: {name: c}, spec: {network: " + network + "}}"
	}
	have := schemas(t)
	for _, c := range []struct{ name, before, after, says string }{
		{"pool ranges", pool("{cidr: 10.0.0.0/8}"), pool("{cidr: 10.0.0.0/8, ranges: [10.1.0.0/16]}"), ""},
		{"pool domain", pool("{cidr: 10.0.0.0/8, domain: a}"), pool("{cidr: 10.0.0.0/8, domain: b}"), "the domain of an IPPool cannot change"},
		{"pool domain left out", pool("{cidr: 10.0.0.0/8, domain: a}"), pool("{cidr: 10.0.0.0/8}"), "the domain of an IPPool cannot change"},
		{"pool cidr", pool("{cidr: 10.0.0.0/8}"), pool("{cidr: 10.0.0.0/16}"), "the cidr of an IPPool cannot change"},
		{"block owner", block("10.0.0.0/26", "a"), block("10.0.0.0/26", "b"), "changes hands only by being deleted"},
		{"block cidr", block("10.0.0.0/26", "a"), block("10.0.0.64/26", "a"), "changes hands only by being deleted"},
		{"region unit", region("64"), region("32"), "the unit of an IPRegion does not change"},
		{"address", address("10.0.0.1"), address("10.0.0.2"), "do not change"},
		{"claim network", claim("blue"), claim("red"), "the network of an IPClaim does not change"},
		{"network kind", network("{attachment: {kind: bridge}}"), network("{attachment: {kind: macvlan}, reach: {interface: up1}}"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, after := parse(t, c.before), parse(t, c.after)
			judge(t, have[after.GetKind()].Check(&after, &before), c.says)
		})
	}
}

// Every rule written in api/ must be proved by a case above.
func TestEveryRuleHasACase(t *testing.T) {
	var said strings.Builder
	have := schemas(t)
	for _, r := range append(networkRules, objectRules...) {
		o := parse(t, r.object)
		if err := have[o.GetKind()].Check(&o, nil); err != nil {
			said.WriteString(err.Error())
		}
	}
	for kind, s := range have {
		for _, v := range s.Rules() {
			if !strings.Contains(v.Rule, "oldSelf") && !strings.Contains(said.String(), v.Message) {
				t.Errorf("%s: no case breaks the rule %q", kind, v.Message)
			}
		}
	}
}

func parse(t *testing.T, doc string) unstructured.Unstructured {
	t.Helper()
	objects, err := Decode([]byte(doc))
	if err != nil || len(objects) != 1 {
		t.Fatalf("decode %s: %d objects, %v", doc, len(objects), err)
	}
	return objects[0]
}

func judge(t *testing.T, err error, says string) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("refused: %v", err)
	case says != "" && err == nil:
		t.Errorf("accepted; want an error with %q", says)
	case says != "" && !strings.Contains(err.Error(), says):
		t.Errorf("says %q; want %q", err, says)
	}
}
