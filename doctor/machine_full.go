package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineFull = podRule(scaleup.CodeFull,
	"group has as many nodes as it may",
	`Every group that the Pod would fit has max-size nodes.`)
