package chained

// behindBridge has the interface be one of a bridge, as bridge makes it.
func behindBridge(w *world) {
	w.in(w.node, "ip", "link", "add", "br0", "address", "02:00:00:00:00:b0", "type", "bridge")
	w.in(w.node, "ip", "link", "set", "br0", "up")
	w.call.Wired.Type, w.call.Wired.Bridge = "bridge", "br0"
}

var firewallRows = []compatRow{
	{Plugin: "firewall", Option: "(none)", Config: `{}`, Want: "works", addresses: []string{v4}},
	{Plugin: "firewall", Option: "(none), IPv6", Config: `{}`, Want: "works", addresses: []string{v6}},
	{Plugin: "firewall", Option: "(none), both families", Config: `{}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "firewall", Option: "(none), no address", Config: `{}`, Want: "works"},
	{Plugin: "firewall", Option: "(none), another rule drops", Config: `{}`, Want: "works", addresses: []string{v4}, prepare: func(w *world) {
		w.in(w.node, "iptables", "-P", "FORWARD", "DROP")
		w.in(w.node, "iptables", "-A", "FORWARD", "-s", "192.0.2.0/24", "-j", "ACCEPT")
	}},
	{Plugin: "firewall", Option: "(none), other Pods are there", Config: `{}`, Want: "works", addresses: []string{v4}, prepare: func(w *world) {
		for _, words := range [][]string{{"-N", "CNI-FORWARD"}, {"-N", "CNI-ADMIN"}, {"-A", "CNI-ADMIN", "-s", "10.7.0.66", "-j", "DROP"}, {"-A", "CNI-FORWARD", "-s", "10.7.0.9/32", "-j", "ACCEPT"}} {
			w.in(w.node, "iptables", words...)
		}
	}},
	{Plugin: "firewall", Option: "backend iptables", Config: `{"backend":"iptables"}`, Want: "works", addresses: []string{v4}},
	{Plugin: "firewall", Option: "iptablesAdminChainName", Config: `{"iptablesAdminChainName":"OUR-RULES"}`, Want: "works", addresses: []string{v4}},
	{Plugin: "firewall", Option: "ingressPolicy open", Config: `{"ingressPolicy":"open"}`, Want: "works", addresses: []string{v4}},
	{Plugin: "firewall", Option: "ingressPolicy same-bridge", Config: `{"ingressPolicy":"same-bridge"}`, Want: "works", newer: true, addresses: []string{v4, v6}, prepare: behindBridge},
	{Plugin: "firewall", Option: "ingressPolicy isolated", Config: `{"ingressPolicy":"isolated"}`, Want: "works", newer: true, addresses: []string{v4}, prepare: behindBridge},
	{Plugin: "firewall", Option: "ingressPolicy (no end on the node)", Config: `{"ingressPolicy":"same-bridge"}`, Want: "has no end on the node",
		addresses: []string{v4}, prepare: func(w *world) { w.call.Wired.Type, w.call.Wired.HostIf = "macvlan", "" }},
	{Plugin: "firewall", Option: "ingressPolicy (unknown)", Config: `{"ingressPolicy":"closed"}`, Want: `unknown ingress policy: "closed"`},
	{Plugin: "firewall", Option: "backend (unknown)", Config: `{"backend":"ufw"}`, Want: "want iptables or firewalld"},
	{Plugin: "firewall", Option: "iptablesAdminChainName (no name)", Config: `{"iptablesAdminChainName":"OUR RULES"}`, Want: "cannot be the name of a chain"},
	{Plugin: "firewall", Option: "backend firewalld", Config: `{"backend":"firewalld","firewalldZone":"trusted"}`, Want: "plugin"},
}
