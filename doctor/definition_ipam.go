package doctor

import (
	"fmt"
	"slices"
	"strings"
)

var unknownIPAM = Check{
	Code:  "TSU3103",
	Title: "NetworkAttachmentDefinition with an address plugin that is not built in",
	Explain: `host-local keeps a list on each node, so a definition for the whole cluster gives one address to two Pods; dhcp needs a server on ` +
		`the segment and comes later. tsunagu and whereabouts give out addresses that are unique in the cluster.`,
	Needs: []Part{Definitions},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Definitions {
			d := &s.Definitions[i]
			plugins, err := parsePlugins(d.Spec.Config)
			if err != nil {
				continue
			}
			for at, p := range plugins {
				if p.IPAM.Type == "" || slices.Contains(ipamTypes, p.IPAM.Type) || !known(p.Type, at) {
					continue
				}
				found = append(found, Finding{
					Severity: Error,
					Object:   definitionObject(d),
					Cause:    fmt.Sprintf("ipam type %q is not built in%s", p.IPAM.Type, didYouMean(p.IPAM.Type, ipamTypes)),
					Breaks:   "Pods that ask for it are refused",
					Fix:      "use ipam type tsunagu with an IPPool, or whereabouts with the same range (of " + strings.Join(ipamTypes, ", ") + ")",
				})
			}
		}
		return found
	},
}
