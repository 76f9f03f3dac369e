package attach

// ipamRow is one option of an IPAM plugin and what comes of it.
type ipamRow struct {
	Plugin, Option string
	// Section is the configuration beside its type.
	Section string
	// IPs are asked for by the Pod's annotation, Args by its cni-args.
	IPs  []string
	Args string
	// Want are words of the refusal; "" means that it works, and that Shows is seen in the Pod's addresses, routes or DNS.
	Want, Shows string
	// Taken tells why it is refused here although the plugin takes it; Own that the plugin has no such option.
	Taken string
	Own   bool
	// Differs begins lines that are others on purpose.
	Differs []string
	// Default gives the Pod the network as its first, not as its second.
	Default bool
	// Serves are options of the DHCP server, Told is what it must log.
	Serves []string
	Told   string
}

// alone tells that no plugin here knows the option.
func (r ipamRow) alone() bool {
	return r.Own || r.Plugin == "whereabouts" || r.Plugin == "tsunagu"
}

const ipamMulti = `"ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"fd00:9::/64"}]]`

var ipamRows = []ipamRow{
	{Plugin: "host-local", Option: "subnet", Section: `"subnet":"10.9.0.0/24"`},
	{Plugin: "host-local", Option: "subnet (IPv6)", Section: `"subnet":"fd00:9::/64"`},
	{Plugin: "host-local", Option: "ranges", Section: ipamMulti},
	{Plugin: "host-local", Option: "ranges (one list, two ranges)", Section: `"ranges":[[{"subnet":"10.9.0.0/24","rangeStart":"10.9.0.9","rangeEnd":"10.9.0.9"},{"subnet":"10.9.1.0/24"}]]`},
	{Plugin: "host-local", Option: "rangeStart and rangeEnd", Section: `"subnet":"10.9.0.0/24","rangeStart":"10.9.0.20","rangeEnd":"10.9.0.30"`},
	{Default: true, Plugin: "host-local", Option: "gateway", Section: `"subnet":"10.9.0.0/24","gateway":"10.9.0.254","routes":[{"dst":"0.0.0.0/0"}]`},
	{Default: true, Plugin: "host-local", Option: "gateway (not given)", Section: `"subnet":"10.9.0.0/24","routes":[{"dst":"0.0.0.0/0"}]`},
	{Plugin: "host-local", Option: "routes", Section: `"subnet":"10.9.0.0/24","routes":[{"dst":"192.0.2.0/24"},{"dst":"198.51.100.0/24","gw":"10.9.0.7"}]`},
	{Default: true, Plugin: "host-local", Option: "routes (both families)", Section: ipamMulti + `,"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"},{"dst":"2001:db8::/32","gw":"fd00:9::7"}]`},
	{Plugin: "host-local", Option: "routes, priority", Section: `"subnet":"10.9.0.0/24","routes":[{"dst":"192.0.2.0/24","priority":300}]`},
	{Plugin: "host-local", Option: "routes, table", Section: `"subnet":"10.9.0.0/24","routes":[{"dst":"192.0.2.0/24","table":77}]`},
	{Plugin: "host-local", Option: "routes, scope", Section: `"ranges":[[{"subnet":"10.9.0.0/24","gateway":"10.9.0.1"}]],"routes":[{"dst":"192.0.2.0/24","scope":0}]`},
	{Plugin: "host-local", Option: "routes, mtu and advmss", Section: `"subnet":"10.9.0.0/24","routes":[{"dst":"192.0.2.0/24","mtu":1400,"advmss":1360}]`, Shows: "mtu 1400 advmss 1360", Differs: []string{"route 192.0.2.0/24"}},
	{Plugin: "host-local", Option: "routes, priority (negative)", Section: `"subnet":"10.9.0.0/24","routes":[{"dst":"192.0.2.0/24","priority":-1}]`, Want: "ipam.routes[0].priority -1: must be a number from 0", Taken: "a metric is not negative"},
	{Plugin: "host-local", Option: "dataDir", Section: `"subnet":"10.9.0.0/24","dataDir":"DIR/given"`},
	{Plugin: "host-local", Option: "resolvConf", Section: `"subnet":"10.9.0.0/24","resolvConf":"DIR/resolv.conf"`, Differs: []string{"dns"}},
	{Plugin: "host-local", Option: "capability ips", Section: `"subnet":"10.9.0.0/24"`, IPs: []string{"10.9.0.77"}},
	{Plugin: "host-local", Option: "capability ips (with a length)", Section: `"subnet":"10.9.0.0/24"`, IPs: []string{"10.9.0.77/24"}},
	{Plugin: "host-local", Option: "capability ips (one of each list)", Section: ipamMulti, IPs: []string{"10.9.0.77", "fd00:9::77"}},
	{Plugin: "host-local", Option: "capability ips (of one list)", Section: ipamMulti, IPs: []string{"10.9.0.77"}},
	{Plugin: "host-local", Option: "capability ips (outside)", Section: `"subnet":"10.9.0.0/24"`, IPs: []string{"10.8.0.77"}, Want: "10.8.0.77"},
	{Plugin: "host-local", Option: "capability ips (two of one list)", Section: `"subnet":"10.9.0.0/24"`, IPs: []string{"10.9.0.77", "10.9.0.78"}, Want: "gives one address of each list of ranges"},
	{Plugin: "host-local", Option: "capability ips (the gateway)", Section: `"subnet":"10.9.0.0/24"`, IPs: []string{"10.9.0.1"}, Want: "10.9.0.1"},
	{Plugin: "host-local", Option: "args.cni.ips", Section: `"subnet":"10.9.0.0/24"`, Args: `{"ips":["10.9.0.77"]}`},
	{Plugin: "host-local", Option: "subnet (missing)", Section: `"rangeStart":"10.9.0.20"`, Want: "subnet is missing"},
	{Plugin: "host-local", Option: "no range", Section: `"routes":[]`, Want: "there is nothing to take an address from"},
	{Plugin: "host-local", Option: "subnet (bits behind its length)", Section: `"subnet":"10.9.0.1/24"`, Want: "has bits set behind its prefix length: write 10.9.0.0/24"},
	{Plugin: "host-local", Option: "subnet (too small)", Section: `"subnet":"10.9.0.0/31"`, Want: "is too small"},
	{Plugin: "host-local", Option: "rangeStart (outside)", Section: `"subnet":"10.9.0.0/24","rangeStart":"10.8.0.1"`, Want: "lies outside the range's subnet 10.9.0.0/24"},
	{Plugin: "host-local", Option: "ranges (overlap)", Section: `"ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"10.9.0.0/16"}]]`, Want: "shares addresses with"},
	{Plugin: "host-local", Option: "ranges (two families in a list)", Section: `"ranges":[[{"subnet":"10.9.0.0/24"},{"subnet":"fd00:9::/64"}]]`, Want: "must be of one address family"},
	{Plugin: "host-local", Option: "resolvConf (missing file)", Section: `"subnet":"10.9.0.0/24","resolvConf":"/no/such/file"`, Want: "/no/such/file"},

	{Plugin: "static", Option: "addresses", Section: `"addresses":[{"address":"10.9.0.5/24"}]`},
	{Default: true, Plugin: "static", Option: "addresses (both families)", Section: `"addresses":[{"address":"10.9.0.5/24","gateway":"10.9.0.1"},{"address":"fd00:9::5/64","gateway":"fd00:9::1"}],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]`},
	{Plugin: "static", Option: "addresses (two of a family)", Section: `"addresses":[{"address":"10.9.0.5/24"},{"address":"10.9.0.6/24"}]`},
	{Default: true, Plugin: "static", Option: "gateway", Section: `"addresses":[{"address":"10.9.0.5/24","gateway":"10.9.0.254"}],"routes":[{"dst":"0.0.0.0/0"}]`},
	{Plugin: "static", Option: "routes", Section: `"addresses":[{"address":"10.9.0.5/24","gateway":"10.9.0.1"}],"routes":[{"dst":"192.0.2.0/24"},{"dst":"198.51.100.0/24","gw":"10.9.0.7"},{"dst":"203.0.113.0/24","gw":"10.9.0.7","priority":50}]`},
	{Plugin: "static", Option: "dns", Section: `"addresses":[{"address":"10.9.0.5/24"}],"dns":{"nameservers":["10.9.0.53"],"domain":"lan.example","search":["lan.example"],"options":["ndots:2"]}`, Differs: []string{"dns"}},
	{Plugin: "static", Option: "capability ips", Section: `"routes":[]`, IPs: []string{"10.9.0.77/24"}},
	{Plugin: "static", Option: "capability ips (instead of addresses)", Section: `"addresses":[{"address":"10.9.0.5/24"}]`, IPs: []string{"10.9.0.77/24"}},
	{Plugin: "static", Option: "capability ips (without a length)", Section: `"routes":[]`, IPs: []string{"10.9.0.77"}, Want: "10.9.0.77"},
	{Plugin: "static", Option: "args.cni.ips", Section: `"routes":[]`, Args: `{"ips":["10.9.0.77/24"]}`},
	{Plugin: "static", Option: "addresses (none)", Section: `"routes":[]`, Want: "ipam.addresses is empty and the Pod asks for no address"},
	{Plugin: "static", Option: "addresses (without a length)", Section: `"addresses":[{"address":"10.9.0.5"}]`, Want: `ipam.addresses[0].address "10.9.0.5"`},
	{Plugin: "static", Option: "gateway (no address)", Section: `"addresses":[{"address":"10.9.0.5/24","gateway":"router"}]`, Want: `ipam.addresses[0].gateway "router"`},

	{Default: true, Plugin: "static", Option: "example of the documentation", Section: `"addresses":[{"address":"10.10.0.1/24","gateway":"10.10.0.254"},{"address":"3ffe:ffff:0:01ff::1/64","gateway":"3ffe:ffff:0::1"}],"routes":[{"dst":"0.0.0.0/0"},{"dst":"192.168.0.0/16","gw":"10.10.5.1"},{"dst":"3ffe:ffff:0:01ff::1/64"}],"dns":{"nameservers":["8.8.8.8"],"domain":"example.com","search":["example.com"]}`, Want: "lies outside the subnet"},

	{Default: true, Plugin: "dhcp", Option: "type alone", Section: ``, Shows: "route 0.0.0.0/0 via 10.20.0.1"},
	{Default: true, Plugin: "dhcp", Option: "classless static routes", Section: `"request":[{"option":"121"}]`, Serves: []string{"--dhcp-option=option:classless-static-route,10.30.0.0/16,10.20.0.9"}, Shows: "route 10.30.0.0/16 via 10.20.0.9"},
	{Default: true, Plugin: "dhcp", Option: "classless static routes (not asked for)", Section: ``, Serves: []string{"--dhcp-option=option:classless-static-route,10.30.0.0/16,10.20.0.9"}, Shows: "route 10.30.0.0/16 via 10.20.0.9", Differs: []string{"route 10.30.0.0/16", "route 0.0.0.0/0"}},
	{Default: true, Plugin: "dhcp", Option: "static routes (option 33)", Section: ``, Serves: []string{"--dhcp-option=option:static-route,10.31.0.9,10.20.0.9"}, Shows: "route 10.31.0.9/32 via 10.20.0.9", Differs: []string{"route 10.31.0.9/32"}},
	{Default: true, Plugin: "dhcp", Option: "priority", Section: `"priority":200`, Shows: "metric 200"},
	{Default: true, Plugin: "dhcp", Option: "daemonSocketPath", Section: `"daemonSocketPath":"SOCKET"`, Shows: "address 10.20.0.50/24"},
	{Default: true, Plugin: "dhcp", Option: "provide, value", Section: `"provide":[{"option":"host-name","value":"web-1"}]`, Told: "client provides name: web-1"},
	{Default: true, Plugin: "dhcp", Option: "provide, fromArg", Section: `"provide":[{"option":"host-name","fromArg":"K8S_POD_NAME"}]`, Told: "client provides name: web"},
	{Default: true, Plugin: "dhcp", Option: "provide (by number)", Section: `"provide":[{"option":"60","value":"blue"}]`, Told: "vendor class: blue"},
	{Default: true, Plugin: "dhcp", Option: "provide (unknown option)", Section: `"provide":[{"option":"hostname","value":"web-1"}]`, Want: `ipam.provide[0].option "hostname"`},
	{Default: true, Plugin: "dhcp", Option: "request", Section: `"request":[{"option":"ntp-servers"}]`, Told: "requested options: 1:netmask, 3:router, 6:dns-server", Own: true},
	{Default: true, Plugin: "dhcp", Option: "request, skipDefault", Section: `"request":[{"skipDefault":true},{"option":"26"}]`, Told: "requested options: 26:mtu"},
	{Default: true, Plugin: "dhcp", Option: "request (of the documentation)", Section: `"request":[{"skipDefault":false}]`, Shows: "address 10.20.0.50/24"},
	{Default: true, Plugin: "dhcp", Option: "request (unknown option)", Section: `"request":[{"option":"clock"}]`, Want: `ipam.request[0].option "clock"`},
	{Default: true, Plugin: "dhcp", Option: "dhcp4 false, no dhcp6", Section: `"dhcp4":false`, Want: "there is nothing to ask for", Own: true},
	{Default: true, Plugin: "dhcp", Option: "priority (negative)", Section: `"priority":-1`, Want: "ipam.priority -1: must not be negative", Taken: "the kernel knows no such metric"},
	{Default: true, Plugin: "dhcp", Option: "no server", Section: ``, Serves: []string{"--dhcp-ignore=tag:!known"}, Want: "nobody answered"},

	{Plugin: "whereabouts", Option: "range", Section: `"range":"10.9.0.0/24"`, Shows: "address 10.9.0.1/24"},
	{Plugin: "whereabouts", Option: "range (first-last/length)", Section: `"range":"10.9.0.20-10.9.0.30/24"`, Shows: "address 10.9.0.20/24"},
	{Plugin: "whereabouts", Option: "range (host bits)", Section: `"range":"10.9.0.8/24"`, Shows: "address 10.9.0.1/24"},
	{Plugin: "whereabouts", Option: "range_start and range_end", Section: `"range":"10.9.0.0/24","range_start":"10.9.0.20","range_end":"10.9.0.30"`, Shows: "address 10.9.0.20/24"},
	{Plugin: "whereabouts", Option: "exclude", Section: `"range":"10.9.0.0/24","exclude":["10.9.0.0/28","10.9.0.16-10.9.0.18"]`, Shows: "address 10.9.0.19/24"},
	{Plugin: "whereabouts", Option: "ipRanges", Section: `"ipRanges":[{"range":"10.9.0.0/24"},{"range":"fd00:9::/64"}]`, Shows: "address fd00:9::1/64"},
	{Plugin: "whereabouts", Option: "range and ipRanges", Section: `"range":"10.9.0.0/24","ipRanges":[{"range":"fd00:9::/64"}]`, Shows: "address fd00:9::1/64"},
	{Default: true, Plugin: "whereabouts", Option: "gateway", Section: `"range":"10.9.0.0/24","gateway":"10.9.0.254","routes":[{"dst":"0.0.0.0/0"}]`, Shows: "route 0.0.0.0/0 via 10.9.0.254"},
	{Plugin: "whereabouts", Option: "routes", Section: `"range":"10.9.0.0/24","routes":[{"dst":"192.0.2.0/24","gw":"10.9.0.7"}]`, Shows: "route 192.0.2.0/24 via 10.9.0.7"},
	{Plugin: "whereabouts", Option: "dns", Section: `"range":"10.9.0.0/24","dns":{"nameservers":["10.9.0.53"]}`, Shows: `10.9.0.53`},
	{Plugin: "whereabouts", Option: "addresses", Section: `"range":"10.9.0.0/24","addresses":[{"address":"192.0.2.5/24"}]`, Shows: "address 192.0.2.5/24"},
	{Plugin: "whereabouts", Option: "network_name", Section: `"range":"10.9.0.0/24","network_name":"blue"`, Shows: "address 10.9.0.1/24"},
	{Plugin: "whereabouts", Option: "enable_overlapping_ranges", Section: `"range":"10.9.0.0/24","enable_overlapping_ranges":false`, Shows: "address 10.9.0.1/24"},
	{Plugin: "whereabouts", Option: "enable_l3", Section: `"range":"10.9.0.0/24","enable_l3":true`, Shows: "address 10.9.0.0/24"},
	{Plugin: "whereabouts", Option: "what its daemon needs", Section: `"range":"10.9.0.0/24","datastore":"kubernetes","kubernetes":{"kubeconfig":"/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig"},"log_file":"/tmp/whereabouts.log","log_level":"debug","sleep_for_race":0,"leader_lease_duration":1500,"leader_renew_deadline":1000,"leader_retry_period":500`, Shows: "address 10.9.0.1/24"},
	{Plugin: "whereabouts", Option: "capability ips", Section: `"range":"10.9.0.0/24"`, IPs: []string{"10.9.0.77"}, Shows: "address 10.9.0.77/24"},
	{Plugin: "whereabouts", Option: "range (none)", Section: `"gateway":"10.9.0.1"`, Want: "there is nothing to take an address from"},
	{Plugin: "whereabouts", Option: "range (no prefix)", Section: `"range":"10.9.0.0"`, Want: `ipam.range "10.9.0.0"`},
	{Plugin: "whereabouts", Option: "range_start (outside)", Section: `"range":"10.9.0.0/24","range_start":"10.8.0.1"`, Want: "lies outside the range's subnet 10.9.0.0/24"},
	{Plugin: "whereabouts", Option: "exclude (everything)", Section: `"range":"10.9.0.0/30","exclude":["10.9.0.0/30"]`, Want: "no address is left"},

	{Plugin: "tsunagu", Option: "pools", Section: `"pools":["blue"]`, Shows: "address 10.9.0.1/24"},
	{Plugin: "tsunagu", Option: "pools (tried in turn)", Section: `"pools":[["full","blue"]]`, Shows: "address 10.9.0.1/24"},
	{Plugin: "tsunagu", Option: "pools (no such pool)", Section: `"pools":["bleu"]`, Want: "IPPool bleu, which does not exist; near names: blue"},
	{Plugin: "tsunagu", Option: "field that nobody knows", Section: `"pool":"blue"`, Want: `unknown field "pool"`},
}
