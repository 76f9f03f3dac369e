package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineNoRight = groupRule(scaleup.CodeNoRight,
	"autoscaler may not read machine templates",
	`It waits for the first list without a limit: the main loop starts once and never again, for all groups. It needs get, list and watch.`).needing(Rights)
