package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineClaims = podRule(scaleup.CodeClaims,
	"resource claims cannot be served from zero",
	`Until 1.36.1 Cluster Autoscaler for Cluster API imagines no device on a new node (kubernetes/autoscaler issue 10199).`)
