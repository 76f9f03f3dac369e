package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machinePredicate = podRule(scaleup.CodePredicate,
	"Pod fits no node that could be added",
	`The autoscaler asks the scheduler's filters about the node it imagines, which has the promised labels and no others.`)
