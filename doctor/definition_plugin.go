package doctor

import (
	"fmt"
	"slices"
	"strings"
)

var unknownPlugin = Check{
	Code:  "TSU3102",
	Title: "NetworkAttachmentDefinition of a type that is not built in",
	Explain: `Interfaces are wired by the agent itself, without running plugin programs. A type that is not built in is run as a program of the ` +
		`node, which must be in its folder of CNI plugins; the name of a built-in type may also be misspelt.`,
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
				meant := ""
				if !slices.Contains(chainedPlugins, p.Type) {
					meant = didYouMean(p.Type, mainPlugins)
				}
				f := Finding{
					Severity: Info,
					Object:   definitionObject(d),
					Cause:    what + " is not built in" + meant + ": it is run as a plugin of the node",
					Breaks:   "nothing where the node has a program of that name; elsewhere Pods that ask for it are refused",
					Fix:      fmt.Sprintf("see that %s is in the folder of CNI plugins on every node (/opt/cni/bin)", p.Type),
				}
				switch {
				case p.Type == "", p.Type == "pod":
					f.Severity, f.Breaks = Error, "Pods that ask for it are refused"
					f.Cause, f.Fix = what+" is not built in", "use one of "+strings.Join(mainPlugins, ", ")+", and behind it in a list "+strings.Join(chainedPlugins, ", ")
				case at > 0 && slices.Contains(mainPlugins, p.Type):
					f.Severity, f.Breaks = Error, "Pods that ask for it are refused"
					f.Cause = what + " makes a second interface, which only the first of a list may"
					f.Fix = "make two definitions; a Pod can ask for both"
				case meant != "":
					f.Severity = Warning
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
