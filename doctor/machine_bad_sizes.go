package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineBadSizes = groupRule(scaleup.CodeBadSizes,
	"min-size or max-size is no whole number",
	`One such value makes the autoscaler leave out every node group of the cluster.`)
