package doctor

import (
	"errors"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/near"
)

var unknownIPAM = Check{
	Code:  "TSU3103",
	Title: "NetworkAttachmentDefinition whose addresses cannot be given out",
	Explain: `The section ipam is of a type that is not built in, or says something impossible. tsunagu and whereabouts give out addresses ` +
		`that are unique in the cluster; so does host-local of tsunagu where nodes may share a segment. Multus with the plugin host-local counts on each node by itself, and a ` +
		`definition for the whole cluster gives one address to two Pods.`,
	Needs: []Part{Definitions},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Definitions {
			d := &s.Definitions[i]
			plugins, err := parsePlugins(d.Spec.Config)
			if err != nil || !known(plugins[0].Type, 0) {
				continue
			}
			_, err = ipam.ParseConfig(plugins[0].IPAM)
			var refusal *ipam.Refusal
			if !errors.As(err, &refusal) {
				continue
			}
			f := Finding{Severity: Error, Object: definitionObject(d), Cause: refusal.Message, Breaks: "Pods that ask for it are refused", Fix: refusal.Fix}
			if refusal.Reason == ipam.UnknownType && len(near.Names(ipamType(plugins[0].IPAM), ipam.Types())) == 0 {
				f.Severity, f.Breaks = Warning, "Pods that ask for it are refused on nodes without an ipam plugin of that name"
				f.Fix = "see that the plugin's binary is on every node"
			}
			found = append(found, f)
		}
		return found
	},
}
