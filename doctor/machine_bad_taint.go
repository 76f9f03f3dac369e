package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineBadTaint = groupRule(scaleup.CodeBadTaint,
	"promised taint without an effect",
	`A taint is key=value:Effect. Without effect the autoscaler drops it; an effect that does not exist is ignored.`)
