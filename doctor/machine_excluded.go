package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineExcluded = groupRule(scaleup.CodeExcluded,
	"auto-discovery excludes a group",
	`Each --node-group-auto-discovery=clusterapi:… selects by namespace, clusterName and labels of the group itself.`)
