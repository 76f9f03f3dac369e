package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineEqualSizes = groupRule(scaleup.CodeEqualSizes,
	"min-size equals max-size",
	`Before 1.30 Cluster Autoscaler leaves out such a group, and logs nothing of it.`)
