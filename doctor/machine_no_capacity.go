package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineNoCapacity = groupRule(scaleup.CodeNoCapacity,
	"size of a new node is not known",
	`A group without a node needs the capacity annotations, or status.capacity of its template, which VSphereMachineTemplate has not got. Without them the autoscaler drops the group, and logs nothing.`)
