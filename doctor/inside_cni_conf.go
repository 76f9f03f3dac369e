package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ownConfig is the file that the installer puts into the CNI configuration
// directory of a node.
const ownConfig = "00-tsunagu.conflist"

var otherCNI = Check{
	Code:  "TSU6001",
	Title: "another CNI configuration comes before tsunagu's",
	Explain: `The container runtime uses the first file of its CNI configuration directory in alphabetical order. Some plugins put theirs first, or ` +
		`rename everybody else's; Pods then start without the networks they ask for.`,
	Needs: []Part{Reports},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, node := range slices.Sorted(maps.Keys(s.Reports)) {
			configs := slices.Clone(s.Reports[node].Configs)
			if len(configs) == 0 {
				continue
			}
			slices.Sort(configs)
			f := Finding{
				Severity: Error,
				Object:   nodeObject(node),
				Breaks:   "new Pods on this node are not attached by tsunagu",
				Fix:      "remove the other plugin's file from the node's CNI configuration directory, and keep its installer from writing it again",
			}
			switch i := slices.IndexFunc(configs, isOwnConfig); {
			case i < 0:
				f.Cause = fmt.Sprintf("%s is not in the CNI configuration directory, which has %s", ownConfig, list(configs))
				f.Fix = "restart the agent of this node, it writes the file again; if it vanishes, find out who removes it"
			case i > 0:
				f.Cause = fmt.Sprintf("the container runtime uses %s before %s", configs[0], configs[i])
			default:
				continue
			}
			found = append(found, f)
		}
		return found
	},
}

func isOwnConfig(name string) bool {
	return strings.HasSuffix(name, strings.TrimPrefix(ownConfig, "00"))
}
