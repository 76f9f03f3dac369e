package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineOddCapacity = groupRule(scaleup.CodeOddCapacity,
	"capacity annotation cannot be meant",
	`4096m of memory are four bytes: the autoscaler sees the group, and nothing ever fits.`)
