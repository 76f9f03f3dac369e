package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// chain is a chain with its rules. A rule's comment says what it is for, and identifies it.
type chain struct {
	nftables.Chain
	rules []rule
}

type rule struct {
	comment string
	exprs   []expr.Any
}

func (r rule) userData() []byte { return userdata.AppendString(nil, userdata.TypeComment, r.comment) }

const (
	// ours matches the node's ends of Pods' interfaces, and the tunnel device.
	ours = "tsu"
	// tunnelDevice is the overlay's device; with its end, no other name matches.
	tunnelDevice = "tsu-vx\x00"
)

// Nobody's addresses on the way out: masquerading them makes no sense.
var (
	multicast  = [2]netip.Prefix{netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8")}
	linkLocal  = [2]netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}
	loopback   = netip.MustParsePrefix("127.0.0.0/8")
	bothFamily = [2]bool{false, true}
)

func index(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

func word(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// chains is the whole structure. Rules cost the same however many nodes and Pods there are; those of kind nat see the first packet of
// a connection only.
func chains(t *nftables.Table, o Options) []chain {
	base := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules []rule) chain {
		return chain{nftables.Chain{Table: t, Name: name, Type: kind, Hooknum: hook, Priority: priority}, rules}
	}
	toPorts := []rule{{"to the node itself: host ports", join(toLocal(), jump("hostports"))}}
	all := []chain{
		{nftables.Chain{Table: t, Name: "hostports"}, hostPorts()},
		base("dnat-prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, toPorts),
		base("dnat-output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, toPorts),
		base("snat-postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, masquerading()),
		base("raw-prerouting", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, rawIn(o.TunnelPort)),
	}
	if o.TunnelPort != 0 {
		all = append(all,
			base("raw-output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRaw, rawOut(o.TunnelPort)),
			base("tunnel-input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, tunnelIn(o.TunnelPort)),
			base("tunnel-forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, tunnelThrough(o.TunnelPort)),
		)
	}
	return all
}

// hostPorts looks a port up, first with the address it was asked at.
func hostPorts() (rules []rule) {
	for _, v6 := range bothFamily {
		rules = append(rules,
			rule{"host ports at one address, " + word(v6), join(family(v6), lookupPort(v6, true))},
			rule{"host ports at all addresses, " + word(v6), join(family(v6), lookupPort(v6, false))})
	}
	return rules
}

// masquerading is the order of reasons to hide a source address.
func masquerading() []rule {
	rules := []rule{{
		"the node by 127.0.0.1 to a Pod's host port",
		join(family(false), translated(), leavesBy(ours), source(loopback, true), masquerade()),
	}}
	for _, v6 := range bothFamily {
		i := index(v6)
		rules = append(rules,
			rule{"a Pod to itself by its host port, " + word(v6),
				join(family(v6), translated(), pair(v6), in(pick(v6, hairpin4, hairpin6)), masquerade())},
			rule{"Pods of this node to others than Pods, " + word(v6),
				join(family(v6), sourceAddress(v6), in(pick(v6, own4, own6)), destinationAddress(v6), notIn(pick(v6, pods4, pods6)),
					destination(multicast[i], false), destination(linkLocal[i], false), masquerade())},
			rule{"secondary networks to others than their subnet, " + word(v6),
				join(family(v6), sourceAddress(v6), in(pick(v6, hidden4, hidden6)), pair(v6), notIn(pick(v6, near4, near6)),
					destination(multicast[i], false), masquerade())},
			rule{"into the tunnel with an address that is no Pod's: the answer would not come back by it, " + word(v6),
				join(family(v6), leavesBy(tunnelDevice), sourceAddress(v6), notIn(pick(v6, pods4, pods6)), masquerade())})
	}
	return rules
}

// rawIn guards 127.0.0.1, which route_localnet opens for replies, and spares encapsulated packets the connection tracking: their
// inner flows are tracked, the outer ones have a random port each.
func rawIn(port uint16) []rule {
	rules := []rule{
		{"no Pod reaches 127.0.0.0/8 of the node", join(family(false), entersBy(ours), destination(loopback, true), drop())},
		{"no Pod speaks for 127.0.0.0/8 of the node", join(family(false), entersBy(ours), source(loopback, true), drop())},
	}
	if port == 0 {
		return rules
	}
	for _, v6 := range bothFamily {
		rules = append(rules, rule{"encapsulated packets of nodes, " + word(v6),
			join(udpTo(port), family(v6), sourceAddress(v6), in(pick(v6, nodes4, nodes6)), noTracking())})
	}
	return rules
}

func rawOut(port uint16) (rules []rule) {
	for _, v6 := range bothFamily {
		rules = append(rules, rule{"encapsulated packets to nodes, " + word(v6),
			join(udpTo(port), family(v6), destinationAddress(v6), in(pick(v6, nodes4, nodes6)), noTracking())})
	}
	return rules
}

// tunnelIn lets only nodes bring packets into the pod network.
func tunnelIn(port uint16) []rule {
	rules := []rule{{"no Pod encapsulates for its own node", join(udpTo(port), entersBy(ours), drop())}}
	for _, v6 := range bothFamily {
		rules = append(rules, rule{"only nodes encapsulate, " + word(v6),
			join(udpTo(port), family(v6), sourceAddress(v6), notIn(pick(v6, nodes4, nodes6)), drop())})
	}
	return rules
}

// tunnelThrough keeps Pods and others from encapsulating for other nodes: masqueraded, their packets would have a node's address.
func tunnelThrough(port uint16) (rules []rule) {
	for _, v6 := range bothFamily {
		rules = append(rules,
			rule{"no Pod encapsulates for other nodes, " + word(v6),
				join(udpTo(port), entersBy(ours), family(v6), destinationAddress(v6), in(pick(v6, nodes4, nodes6)), drop())},
			rule{"nobody but nodes encapsulates through this one, " + word(v6),
				join(udpTo(port), family(v6), destinationAddress(v6), in(pick(v6, nodes4, nodes6)),
					sourceAddress(v6), notIn(pick(v6, nodes4, nodes6)), drop())})
	}
	return rules
}
