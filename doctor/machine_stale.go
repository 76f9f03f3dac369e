package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineStale = groupRule(scaleup.CodeStale,
	"promised labels differ from the group's node",
	`While a group has a node, and as long as the autoscaler runs after that, it goes by that node and not by the annotation.`)
