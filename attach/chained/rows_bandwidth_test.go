package chained

var bandwidthRows = []compatRow{
	{Plugin: "bandwidth", Option: "(none)", Config: `{}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bandwidth", Option: "ingressRate and ingressBurst", Config: `{"ingressRate":8000000,"ingressBurst":160000}`, Want: "works", restores: true, addresses: []string{v4, v6}},
	{Plugin: "bandwidth", Option: "egressRate and egressBurst", Config: `{"egressRate":8000000,"egressBurst":160000}`, Want: "works", restores: true, addresses: []string{v4, v6}},
	{Plugin: "bandwidth", Option: "both directions", Config: `{"ingressRate":123456,"ingressBurst":1234560,"egressRate":10000000000,"egressBurst":2147483647}`,
		Want: "works", restores: true, addresses: []string{v4}},
	{Plugin: "bandwidth", Option: "runtimeConfig.bandwidth", Config: `{"capabilities":{"bandwidth":true}}`, Want: "works", restores: true, addresses: []string{v4},
		runtime: Runtime{Bandwidth: &Bandwidth{IngressRate: 1000000, IngressBurst: 100000, EgressRate: 2000000, EgressBurst: 200000}},
		asked:   map[string]any{"bandwidth": map[string]any{"ingressRate": 1000000, "ingressBurst": 100000, "egressRate": 2000000, "egressBurst": 200000}}},
	{Plugin: "bandwidth", Option: "runtimeConfig.bandwidth (and a configured one, which wins)", Config: `{"ingressRate":8000000,"ingressBurst":160000}`, Want: "works", restores: true,
		addresses: []string{v4}, runtime: Runtime{Bandwidth: &Bandwidth{EgressRate: 2000000, EgressBurst: 200000}},
		asked: map[string]any{"bandwidth": map[string]any{"egressRate": 2000000, "egressBurst": 200000}}},
	{Plugin: "bandwidth", Option: "ingressRate (no burst)", Config: `{"ingressRate":8000000}`, Want: "if rate is set (8000000), burst must also be set"},
	{Plugin: "bandwidth", Option: "egressBurst (no rate)", Config: `{"egressBurst":8000000}`, Want: "if burst is set (8000000), rate must also be set"},
	{Plugin: "bandwidth", Option: "egressBurst (more than 4 GB)", Config: `{"egressRate":8000000,"egressBurst":34359738368}`, Want: "burst cannot be more than 4GB"},
	{Plugin: "bandwidth", Option: "ingressRate (negative)", Config: `{"ingressRate":-1,"ingressBurst":1}`, Want: "want a whole number of bits, have -1"},
	{Plugin: "bandwidth", Option: "an interface without an end on the node", Config: `{"ingressRate":8000000,"ingressBurst":160000}`, Want: "net1 is a macvlan, which has no end on the node",
		prepare: func(w *world) { w.call.Wired.Type, w.call.Wired.HostIf = "macvlan", "" }},
	{Plugin: "bandwidth", Option: "unshapedSubnets (not in 1.9.1)", Config: `{"unshapedSubnets":["10.0.0.0/8"]}`, Want: "plugin"},
}
