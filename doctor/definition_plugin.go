package doctor

import (
	"fmt"
	"slices"
	"strings"
)

var unknownPlugin = Check{
	Code:  "TSU3102",
	Title: "NetworkAttachmentDefinition of a type that is not built in",
	Explain: `Interfaces are wired by the agent itself, without running plugin programs. Third-party types are not run yet; the name of a built-in ` +
		`type may also be misspelt.`,
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
				if known(p.Type, at) {
					continue
				}
				what := fmt.Sprintf("type %q", p.Type)
				if p.Type == "" {
					what = "a configuration without type"
				}
				if len(plugins) > 1 {
					what += fmt.Sprintf(" (plugins[%d])", at)
				}
				f := Finding{
					Severity: Error,
					Object:   definitionObject(d),
					Cause:    what + " is not built in" + didYouMean(p.Type, mainPlugins),
					Breaks:   "Pods that ask for it are refused",
					Fix:      "use one of " + strings.Join(mainPlugins, ", ") + ", and behind it in a list " + strings.Join(chainedPlugins, ", "),
				}
				if at > 0 {
					f.Cause = what + " is not built in behind another"
					f.Fix = "remove it from the list; built in there is " + strings.Join(chainedPlugins, ", ")
					if slices.Contains(mainPlugins, p.Type) {
						f.Cause = what + " makes a second interface, which only the first of a list may"
						f.Fix = "make two definitions; a Pod can ask for both"
					}
				}
				found = append(found, f)
			}
		}
		return found
	},
}

// known tells whether a type is built in at this place of a list.
func known(typ string, at int) bool {
	if at > 0 {
		return slices.Contains(chainedPlugins, typ)
	}
	return slices.Contains(mainPlugins, typ)
}
