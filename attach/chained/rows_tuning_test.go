package chained

import (
	"net"
	"slices"
)

func compatRows() []compatRow {
	return slices.Concat(tuningRows, sbrRows, vrfRows, portmapRows, bandwidthRows, firewallRows)
}

const arpFilter, rmem = "ipv4/conf/net1/arp_filter", "ipv4/ping_group_range"

var asked = net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 1}

var tuningRows = []compatRow{
	{Plugin: "tuning", Option: "sysctl", Config: `{"sysctl":{"net.ipv4.conf.net1.arp_filter":"1","net.ipv6.conf.net1.hop_limit":"32"}}`, Want: "works",
		addresses: []string{v4, v6}, knobs: []string{arpFilter, "ipv6/conf/net1/hop_limit"}},
	{Plugin: "tuning", Option: "sysctl (IFNAME)", Config: `{"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"}}`, Want: "works", knobs: []string{arpFilter}},
	{Plugin: "tuning", Option: "sysctl (slashes)", Config: `{"sysctl":{"net/ipv4/conf/net1/arp_filter":"1"}}`, Want: "works", knobs: []string{arpFilter}},
	{Plugin: "tuning", Option: "sysctl (several numbers)", Config: `{"sysctl":{"net.ipv4.ping_group_range":"0 2000"}}`, Want: "works", knobs: []string{rmem}},
	{Plugin: "tuning", Option: "sysctl (not of the network)", Config: `{"sysctl":{"kernel.panic":"1"}}`, Want: `must begin with "net."`},
	{Plugin: "tuning", Option: "sysctl (out of the network by dots)", Config: `{"sysctl":{"net/../kernel/panic":"1"}}`, Want: `must begin with "net."`},
	{Plugin: "tuning", Option: "sysctl (does not exist)", Config: `{"sysctl":{"net.ipv4.conf.net1.arp_filter":"1","net.ipv4.conf.net1.frob":"1"}}`,
		Want: "Pods on this node have no such sysctl", knobs: []string{arpFilter}},
	{Plugin: "tuning", Option: "sysctl (value that the kernel refuses)", Config: `{"sysctl":{"net.ipv4.conf.net1.arp_filter":"one"}}`, Want: `arp_filter = "one"`, knobs: []string{arpFilter}},
	{Plugin: "tuning", Option: "sysctl (number without quotation marks)", Config: `{"sysctl":{"net.ipv4.conf.net1.arp_filter":1}}`, Want: "must be a text in quotation marks"},
	{Plugin: "tuning", Option: "sysctl (not in allowlist.conf)", Config: `{"sysctl":{"net.ipv4.conf.net1.arp_filter":"1"}}`,
		Want: `is not allowed on this node, allowed are: ^net.ipv4.conf.IFNAME.[a-z_]*$`, knobs: []string{arpFilter}, prepare: func(w *world) { w.allow("^net.ipv4.conf.IFNAME.[a-z_]*$\n\n") }},
	{Plugin: "tuning", Option: "mac", Config: `{"mac":"02:00:5e:10:00:01"}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "tuning", Option: "mac (not one)", Config: `{"mac":"blue"}`, Want: `"mac": `},
	{Plugin: "tuning", Option: "runtimeConfig.mac", Config: `{"mac":"02:00:5e:10:00:09"}`, Want: "works", addresses: []string{v4},
		runtime: Runtime{MAC: asked}, asked: map[string]any{"mac": asked.String()}},
	{Plugin: "tuning", Option: "mtu", Config: `{"mtu":1400}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "tuning", Option: "mtu (no MTU)", Config: `{"mtu":20}`, Want: "20 is not an MTU"},
	{Plugin: "tuning", Option: "promisc", Config: `{"promisc":true}`, Want: "works"},
	{Plugin: "tuning", Option: "promisc (false)", Config: `{"promisc":false}`, Want: "works"},
	{Plugin: "tuning", Option: "allmulti", Config: `{"allmulti":true}`, Want: "works"},
	{Plugin: "tuning", Option: "allmulti (false)", Config: `{"allmulti":false}`, Want: "works", prepare: func(w *world) { w.in(w.pod, "ip", "link", "set", "net1", "allmulticast", "on") }},
	{Plugin: "tuning", Option: "txQLen", Config: `{"txQLen":500}`, Want: "works", newer: true},
	{Plugin: "tuning", Option: "txQLen 0", Config: `{"txQLen":0}`, Want: "works", newer: true},
	{Plugin: "tuning", Option: "all of them", Config: `{"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"},"mac":"02:00:5e:10:00:01","mtu":1400,"promisc":true,"allmulti":true,"txQLen":500}`,
		Want: "works", newer: true, addresses: []string{v4, v6}, knobs: []string{arpFilter}},
	{Plugin: "tuning", Option: "args.cni", Config: `{"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"0"},"mtu":1300,"args":{"cni":{"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"},"mtu":1400,"promisc":true,"allmulti":true,"mac":"02:00:5e:10:00:01"}}}`,
		Want: "works", knobs: []string{arpFilter}},
	{Plugin: "tuning", Option: "field that is not known", Config: `{"mtu":1400,"gso":1}`, Want: "plugin"},
}
