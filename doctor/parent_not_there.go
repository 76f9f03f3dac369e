package doctor

var parentNotThere = lineCheck("TSU7309", "node has no interface of that name",
	`Names of interfaces differ from node to node. A Network names the segment, and each node finds its interface.`,
	Error, []string{"failed to lookup master", "Link not found"},
	"Pods on that node stay in ContainerCreating",
	"use a Network with an uplink for each kind of node instead of a definition with a master")
