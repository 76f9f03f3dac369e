package hostport

import "fmt"

// Conflict refuses a mapping whose port another sandbox holds.
type Conflict struct {
	Mapping Mapping
	// Holder is the name of the Pod that has it, HolderID its sandbox.
	Holder, HolderID string
}

func (c Conflict) Error() string {
	return fmt.Sprintf("host port %s belongs to Pod %s (sandbox %.13s)", c.Mapping, c.Holder, c.HolderID)
}

// Reason is a word for Events.
func (Conflict) Reason() string { return "HostPortTaken" }

// Fix is what a user can do.
func (c Conflict) Fix() string {
	return fmt.Sprintf("use another hostPort, or wait until Pod %s is gone", c.Holder)
}
