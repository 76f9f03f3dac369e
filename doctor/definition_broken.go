package doctor

import "fmt"

var brokenDefinition = Check{
	Code:  "TSU3101",
	Title: "NetworkAttachmentDefinition cannot be read",
	Explain: `spec.config is a JSON text inside a YAML text, which the API server does not look into. Common slips: a missing comma, a comma behind ` +
		`the last entry, a quote lost to YAML.`,
	Needs: []Part{Definitions},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Definitions {
			d := &s.Definitions[i]
			if _, err := parsePlugins(d.Spec.Config); err != nil {
				found = append(found, Finding{
					Severity: Error,
					Object:   definitionObject(d),
					Cause:    "spec.config: " + err.Error(),
					Breaks:   "Pods that ask for it are refused",
					Fix:      fmt.Sprintf("kubectl -n %s edit network-attachment-definition %s", d.Namespace, d.Name),
				})
			}
		}
		return found
	},
}
