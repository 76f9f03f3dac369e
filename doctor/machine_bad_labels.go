package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineBadLabels = groupRule(scaleup.CodeBadLabels,
	"promised label that no Pod selects",
	`The annotation is split at commas and at the first =; blanks stay part of the key, and what has no = is dropped.`)
