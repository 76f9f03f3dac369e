package doctor

var addressNotInRange = lineCheck("TSU7305", "fixed address that no range has",
	`host-local refuses an address outside its ranges, and the Pod waits without an end. tsunagu refuses it with an Event that names the ranges (TSU4001).`,
	Error, []string{"failed to allocate all requested IPs"},
	"the Pod stays in ContainerCreating",
	"ask for an address of the network's range, or widen the range")
