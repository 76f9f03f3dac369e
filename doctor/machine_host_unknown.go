package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineHostUnknown = podRule(scaleup.CodeHostUnknown,
	"Pods are spread over hosts that no group promises",
	`The autoscaler cannot know which host a new machine will be on: spreading never scales, anti-affinity believes that any group fits. One MachineDeployment for each host, with the host as promised label, helps.`)
