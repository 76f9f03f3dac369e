package doctor

import (
	"fmt"
	"slices"
)

// sharedKinds are types whose interfaces on several nodes may be on one segment (kind.Shared; this room does not import it).
var sharedKinds = []string{"macvlan", "ipvlan", "vlan", "host-device", "sriov", "ovs", "trunk"}

var hostLocalPerNode = Check{
	Code:    "TSU7301",
	Title:   "host-local addresses are counted on each node by itself",
	Explain: `host-local keeps what it gave out in files of the node. A definition for the whole cluster gives the same first address to a Pod on every node. tsunagu's agents count in the whole cluster where nodes may share a segment (macvlan, vlan, ipvlan l2, host-device, sriov, ovs), unless the definition says otherwise.`,
	Needs:   []Part{Definitions, Nodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Definitions {
			d := &s.Definitions[i]
			plugins, err := parsePlugins(d.Spec.Config)
			if err != nil || len(s.Nodes) < 2 || ipamType(plugins[0].IPAM) != "host-local" || d.Annotations["tsunagu.dev/host-local"] == "cluster" {
				continue
			}
			if len(s.Reports) > 0 && slices.Contains(sharedKinds, plugins[0].Type) && d.Annotations["tsunagu.dev/host-local"] != "node" {
				continue
			}
			found = append(found, Finding{Severity: Error, Object: definitionObject(d),
				Cause:  fmt.Sprintf("%d nodes give out addresses of one range, each without asking the others", len(s.Nodes)),
				Breaks: "two Pods on two nodes get one address",
				Fix:    fmt.Sprintf("kubectl -n %s annotate network-attachment-definitions %s tsunagu.dev/host-local=cluster, or write ipam type tsunagu", d.Namespace, d.Name)})
		}
		return found
	},
}
