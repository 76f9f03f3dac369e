package doctor

var autoscalerHangs = lineCheck("TSU7015", "autoscaler waits for a list that it may not read",
	`Without get, list and watch on a machine template Cluster Autoscaler prints "Starting main loop" once and waits for ever; a reflector's line is all it says of it.`,
	Error, []string{"failed to list", "templates", "is forbidden"},
	"Cluster Autoscaler adds no node of any group",
	"give the ServiceAccount in that line get, list and watch on the resource in that line, at the scope that it names; watch is missing from many pages")
