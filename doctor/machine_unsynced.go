package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineUnsynced = groupRule(scaleup.CodeUnsynced,
	"promised label that no Node gets",
	`Cluster API carries only labels of some domains from Machines to Nodes. With others the autoscaler adds a node, the Pod does not fit it, and the node goes again.`)
