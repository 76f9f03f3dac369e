package doctor

var pluginNotInstalled = lineCheck("TSU7308", "CNI plugin is not on the node",
	`A configuration names a plugin whose binary the node has not got; static, for instance, is not in every image.`,
	Error, []string{"failed to find plugin", "in path"},
	"Pods on that node stay in ContainerCreating",
	"install the reference plugins on the node, or use a type that tsunagu has built in: it needs no binary")
