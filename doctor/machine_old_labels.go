package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineOldLabels = groupRule(scaleup.CodeOldLabels,
	"autoscaler too old for promised labels",
	`The annotations labels and taints are read from Cluster Autoscaler 1.27.1 on. The version of the Helm chart is another: chart 9.28.0 brings 1.26.2.`)
