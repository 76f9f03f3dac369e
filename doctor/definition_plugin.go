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
				found = append(found, Finding{
					Severity: Error,
					Object:   definitionObject(d),
					Cause:    what + " is not built in" + didYouMean(p.Type, mainPlugins),
					Breaks:   "Pods that ask for it are refused",
					Fix:      "use one of " + strings.Join(mainPlugins, ", ") + " (after the first also " + strings.Join(chainedPlugins, ", ") + ")",
				})
			}
		}
		return found
	},
}

func known(typ string, at int) bool {
	return slices.Contains(mainPlugins, typ) || at > 0 && slices.Contains(chainedPlugins, typ)
}
