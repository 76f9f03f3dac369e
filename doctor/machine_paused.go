package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machinePaused = groupRule(scaleup.CodePaused,
	"group is paused",
	`From 1.36 on Cluster Autoscaler leaves paused groups and their nodes out.`)
