package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineNoSizes = groupRule(scaleup.CodeNoSizes,
	"MachineDeployment without min-size or max-size",
	`Cluster Autoscaler looks only at groups that have both annotations; of the nodes of others it says “no node group config”, which looks like a mistake of auto-discovery and is none.`)
