package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineBadCapacity = groupRule(scaleup.CodeBadCapacity,
	"capacity annotation is no quantity",
	`500mb, 8GiB and 8gi are no quantities of Kubernetes. While the group has no node, the autoscaler drops it and logs nothing at any verbosity.`)
