package doctor

var dhcpSilent = lineCheck("TSU7311", "no DHCP daemon on the node",
	`The plugin dhcp asks a daemon of the node, which has to be started there.`,
	Error, []string{"error dialing DHCP daemon"},
	"Pods on that node stay in ContainerCreating",
	"start the daemon of the dhcp plugin on every node, or give out addresses with ipam type tsunagu")
