package doctor

import (
	"fmt"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

var missingPool = Check{
	Code:    "TSU3104",
	Title:   "NetworkAttachmentDefinition names an IPPool that is not there",
	Explain: `ipam.pools lists IPPool objects by name, and a Pod gets one address of each. The pools of a Network are made by the controller.`,
	Needs:   []Part{Definitions, Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		names := make([]string, len(s.Pools))
		for i, p := range s.Pools {
			names[i] = p.Name
		}
		for i := range s.Definitions {
			d := &s.Definitions[i]
			plugins, err := parsePlugins(d.Spec.Config)
			if err != nil {
				continue
			}
			config, err := ipam.ParseConfig(plugins[0].IPAM)
			if err != nil {
				continue
			}
			for _, name := range config.AllPoolNames() {
				if s.pool(name) != nil {
					continue
				}
				f := Finding{
					Severity: Error,
					Object:   definitionObject(d),
					Cause:    fmt.Sprintf("there is no IPPool %s%s", name, didYouMean(name, names)),
					Breaks:   "Pods that ask for it are refused",
					Fix:      "create the IPPool, or name one that exists: kubectl get ippools.tsunagu.dev",
				}
				if made := d.Labels[v1alpha1.NetworkLabel]; made != "" {
					f.CausedBy = &Cause{networkNotReady.Code, Object{"Network", "", made}}
				}
				found = append(found, f)
			}
		}
		return found
	},
}
