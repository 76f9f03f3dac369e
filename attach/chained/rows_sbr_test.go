package chained

var sbrRows = []compatRow{
	{Plugin: "sbr", Option: "(none)", Config: `{}`, Want: "works", restores: true, addresses: []string{v4}},
	{Plugin: "sbr", Option: "(none), IPv6", Config: `{}`, Want: "works", restores: true, addresses: []string{v6}},
	{Plugin: "sbr", Option: "(none), both families", Config: `{}`, Want: "works", restores: true, addresses: []string{v4, v6}},
	{Plugin: "sbr", Option: "(none), no gateway", Config: `{}`, Want: "works", restores: true, addresses: []string{"10.7.0.2/24", "fd00:7::2/64"}},
	{Plugin: "sbr", Option: "(none), two addresses of one subnet", Config: `{}`, Want: "works", restores: true, addresses: []string{v4, "10.7.0.3/24"}},
	{Plugin: "sbr", Option: "(none), routes by a gateway", Config: `{}`, Want: "works", restores: true, addresses: []string{v4, v6}, prepare: func(w *world) {
		w.in(w.pod, "ip", "route", "add", "192.168.7.0/24", "via", "10.7.0.9", "dev", "net1")
		w.in(w.pod, "ip", "route", "add", "fd00:8::/64", "via", "fd00:7::9", "dev", "net1")
	}},
	{Plugin: "sbr", Option: "(none), table 100 in use", Config: `{}`, Want: "works", restores: true, addresses: []string{v4, v6}, prepare: func(w *world) {
		w.in(w.pod, "ip", "rule", "add", "to", "10.99.0.0/16", "table", "100")
	}},
	{Plugin: "sbr", Option: "(none), another default route", Config: `{}`, Want: "works", restores: true, addresses: []string{v4}, prepare: func(w *world) {
		w.in(w.pod, "ip", "route", "del", "default")
		w.in(w.pod, "ip", "link", "add", "eth0", "type", "veth", "peer", "eth0p")
		w.in(w.pod, "ip", "link", "set", "eth0", "addrgenmode", "none", "address", "02:00:00:00:02:01", "up")
		w.in(w.pod, "ip", "link", "set", "eth0p", "addrgenmode", "none", "address", "02:00:00:00:02:02", "up")
		w.in(w.pod, "ip", "route", "add", "default", "dev", "eth0")
	}},
	{Plugin: "sbr", Option: "(none), no address", Config: `{}`, Want: "net1 has no address to route by"},
	{Plugin: "sbr", Option: "table", Config: `{"table":77}`, Want: "works", newer: true, restores: true, addresses: []string{v4, v6}},
	{Plugin: "sbr", Option: "table (not a number)", Config: `{"table":"main"}`, Want: `"table": want a whole number, have "main"`},
	{Plugin: "sbr", Option: "gateways (newer than 1.9.1)", Config: `{"gateways":["10.7.0.9"]}`, Want: "plugin"},
	{Plugin: "sbr", Option: "addSourceHints (newer than 1.9.1)", Config: `{"addSourceHints":true}`, Want: "plugin"},
}
