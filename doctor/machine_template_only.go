package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineTemplateOnly = podRule(scaleup.CodeTemplateOnly,
	"label stands in the template only",
	`The autoscaler looks for labels of the template where Cluster API has none, so a label that a Pod selects must be in the annotation, too.`)
