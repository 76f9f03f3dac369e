package doctor

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func counts(used, free, total int64) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Pools[0].Status = v1alpha1.IPPoolStatus{Used: used, Free: free, Total: total, Blocks: 4}
	}
}

func morePools(pools ...v1alpha1.IPPool) func(*Snapshot) {
	return func(s *Snapshot) { s.Pools = append(s.Pools, pools...) }
}

func status(pod, ip string) func(*Snapshot) {
	return annotate(pod, "network-status", `[{"name":"tsunagu","interface":"eth0","ips":["`+ip+`"],"default":true},
		{"name":"demo/blue","interface":"net1","ips":["192.168.101.200"]},{"name":"demo/hand","interface":"lan","ips":["10.9.0.200"]}]`)
}

func statusOn(pod, network, ip string) func(*Snapshot) {
	return annotate(pod, "network-status", `[{"name":"demo/blue","interface":"net1"},{"name":"demo/hand","interface":"lan"},
		{"name":"`+network+`","interface":"net9","ips":["`+ip+`","fe80::1"]}]`)
}

var addressDiagnoses = []diagnosis{
	{"plenty", nothing, "TSU5001", nil, ""},
	{"nine of ten", counts(229, 25, 254), "TSU5001", []string{"warning | IPPool blue-v4 | 229 of 254 | 4 blocks | ranges in Network blue"}, ""},
	{"full is another finding", counts(254, 0, 254), "TSU5001", nil, ""},
	{"not counted yet", counts(0, 0, 0), "TSU5001", nil, ""},

	{"plenty", nothing, "TSU5002", nil, ""},
	{"full", counts(254, 0, 254), "TSU5002", []string{"error | IPPool blue-v4 | 254 of 254 | tsunagu address list --pool blue-v4"}, ""},
	{"not counted yet", counts(0, 0, 0), "TSU5002", nil, ""},

	{"all are kept", nothing, "TSU5009", nil, ""},
	{"a block keeps it", func(s *Snapshot) {
		statusOn("web1", "demo/blue", "192.168.101.3")(s)
	}, "TSU5009", nil, ""},
	{"the block of another node", func(s *Snapshot) {
		statusOn("web2", "demo/blue", "192.168.101.3")(s)
	}, "TSU5009", []string{"error | Pod demo/web2 | 192.168.101.3 on net9 | no IPBlock of node node2 | tsunagu address import"}, ""},
	{"each node counts by itself", func(s *Snapshot) {
		s.Definitions[1].Spec.Config = `{"type":"bridge","ipam":{"type":"host-local","subnet":"10.9.0.0/16"}}`
		statusOn("web2", "demo/hand", "10.9.7.7")(s)
	}, "TSU5009", nil, ""},
	{"a new Pod", func(s *Snapshot) {
		statusOn("web2", "demo/blue", "192.168.101.3")(s)
		for i := range s.Pods {
			s.Pods[i].CreationTimestamp = metav1.NewTime(now)
		}
	}, "TSU5009", nil, ""},

	{"all are of their ranges", nothing, "TSU5010", nil, ""},
	{"outside the range", statusOn("web1", "demo/hand", "10.9.1.1"), "TSU5010", []string{"warning | Pod demo/web1 | 10.9.1.1 on net9 | outside the subnet 10.9.0.0/24"}, ""},
	{"excluded since", func(s *Snapshot) { s.Pools[0].Spec.Exclude = []string{"192.168.101.71"} }, "TSU5010", []string{"warning | Pod demo/web1 | excluded by 192.168.101.71"}, ""},

	{"nobody else on the segment", nothing, "TSU5011", nil, ""},
	{"a stranger", func(s *Snapshot) {
		s.Addresses = append(s.Addresses, v1alpha1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "blue.192-168-101-9"}, Spec: v1alpha1.IPAddressSpec{
			Domain: "blue", Address: "192.168.101.9", Pool: "blue-v4", Quarantine: &v1alpha1.AddressQuarantine{MAC: "0a:1b:2c:3d:4e:5f", Node: "node1", Seconds: 600}}})
	}, "TSU5011", []string{"warning | IPAddress blue.192-168-101-9 | 192.168.101.9 of pool blue-v4 | 0a:1b:2c:3d:4e:5f | node node1"}, ""},

	{"one pool", nothing, "TSU5003", nil, ""},
	{"one in the other", morePools(pool("more", "blue", "192.168.101.128/25")),
		"TSU5003", []string{"warning | IPPool more | 192.168.101.128-192.168.101.255 | IPPool blue-v4"}, ""},
	{"another domain", morePools(pool("more", "green", "192.168.101.0/24")), "TSU5003", nil, ""},
	{"disjoint ranges of one subnet", func(s *Snapshot) {
		s.Pools[0].Spec.Ranges = []string{"192.168.101.100-192.168.101.149"}
		morePools(pool("more", "blue", "192.168.101.0/24"))(s)
		s.Pools[1].Spec.Ranges = []string{"192.168.101.150/31", "192.168.101.160"}
	}, "TSU5003", nil, ""},
	{"two families", morePools(pool("more", "blue", "::/0")), "TSU5003", nil, ""},

	{"all nodes are there", nothing, "TSU5004", nil, ""},
	{"the node was made again", func(s *Snapshot) { s.Nodes[0].UID = "new" }, "TSU5004", []string{"warning | IPBlock blue-192.168.101.0 | node node1 with UID uid-node1 | created again"}, ""},
	{"in quarantine", func(s *Snapshot) {
		s.Blocks[0].Spec.State = v1alpha1.BlockQuarantined
		s.Blocks[0].Spec.Owner = v1alpha1.BlockOwner{Node: "gone", NodeUID: "gone"}
	}, "TSU5004", []string{"info | IPBlock blue-192.168.101.0 | quarantine"}, ""},
	{"nobody takes it back", func(s *Snapshot) {
		s.Blocks[0].Spec.Owner.NodeUID = "gone"
		s.Deployments[0].Status.ReadyReplicas = 0
	}, "TSU5004", []string{"warning | IPBlock blue-192.168.101.0"}, "TSU2003"},

	{"all unique", nothing, "TSU5005", nil, ""},
	{"on the pod network", status("web2", "10.244.1.5"), "TSU5005", []string{"error | Pod demo/web2 | 10.244.1.5 on eth0 (pod network, node node2) is also on eth0 of Pod demo/web1 (node node1)"}, ""},
	{"written as IPv4 inside IPv6", status("web2", "::ffff:10.244.1.5"), "TSU5005", []string{"error | Pod demo/web2 | 10.244.1.5"}, ""},
	{"on one network in two namespaces", func(s *Snapshot) {
		d := definition("default", "blue", s.Definitions[0].Spec.Config)
		d.Labels = s.Definitions[0].Labels
		s.Definitions = append(s.Definitions, d)
		statusOn("web2", "default/blue", "192.168.101.71")(s)
	}, "TSU5005", []string{"error | Pod demo/web2 | 192.168.101.71 on net9 (network default/blue, node node2) is also on net1 of Pod demo/web1"}, ""},
	{"one address in two domains", statusOn("web2", "demo/hand", "192.168.101.71"), "TSU5005", nil, ""},
	{"the other Pod has ended", func(s *Snapshot) {
		status("web2", "10.244.1.5")(s)
		s.podNamed("web1").Status.Phase = "Succeeded"
	}, "TSU5005", nil, ""},
	{"written down for all", func(s *Snapshot) {
		s.Definitions = append(s.Definitions, definition("demo", "fix", `{"type":"macvlan","ipam":{"type":"static","addresses":[{"address":"10.7.7.7/24"}]}}`))
		statusOn("web1", "demo/fix", "10.7.7.7")(s)
		statusOn("web2", "demo/fix", "10.7.7.7")(s)
	}, "TSU5005", []string{"warning | Pod demo/web2 | written down"}, ""},

	{"no router", nothing, "TSU5006", nil, ""},
	{"own gateway is never given out", func(s *Snapshot) { s.Pools[0].Spec.Gateway = "192.168.101.254" }, "TSU5006", nil, ""},
	{"next hop of a route", func(s *Snapshot) {
		s.Pools[0].Spec.Routes = []v1alpha1.Route{{Dst: "10.0.0.0/8", GW: "192.168.101.253"}}
	},
		"TSU5006", []string{"info | IPPool blue-v4 | 192.168.101.253 | its own routes | add 192.168.101.253 to exclude"}, ""},
	{"excluded", func(s *Snapshot) {
		s.Pools[0].Spec.Routes = []v1alpha1.Route{{Dst: "10.0.0.0/8", GW: "192.168.101.253"}}
		s.Pools[0].Spec.Exclude = []string{"192.168.101.250-192.168.101.254"}
	}, "TSU5006", nil, ""},
	{"gateway of another pool", func(s *Snapshot) {
		morePools(pool("more", "blue", "192.168.101.0/25"))(s)
		s.Pools[1].Spec.Gateway = "192.168.101.1"
	}, "TSU5006", []string{"info | IPPool blue-v4 | 192.168.101.1, which is a next hop of IPPool more"}, ""},

	{"its Pod is there", nothing, "TSU5007", nil, ""},
	{"its Pod is gone", func(s *Snapshot) { s.removePod("web1") }, "TSU5007", []string{"warning | IPAddress blue-192.168.101.77 | Pod demo/web1 | node1"}, ""},
	{"its Pod just went", func(s *Snapshot) {
		s.removePod("web1")
		s.Addresses[0].CreationTimestamp = metav1.NewTime(now.Add(-leakAge / 2))
	}, "TSU5007", nil, ""},
	{"its Pod is gone and so is the agent", func(s *Snapshot) {
		s.removePod("web1")
		s.removePod("tsunagu-agent-node1")
	}, "TSU5007", []string{"warning | IPAddress blue-192.168.101.77"}, "TSU1001"},

	{"readable", nothing, "TSU5008", nil, ""},
	{"no prefix", morePools(pool("bad", "x", "10.0.0.0")), "TSU5008", []string{"error | IPPool bad | spec.cidr"}, ""},
	{"a range backwards", func(s *Snapshot) { s.Pools[0].Spec.Ranges = []string{"192.168.101.9-192.168.101.3"} },
		"TSU5008", []string{"error | IPPool blue-v4 | write the lower address first"}, ""},
}
