package kind

import "github.com/tsunagu-net/tsunagu/kernel/link"

// Dummy is an interface that leads nowhere, for addresses that are to be there whatever happens to others.
type Dummy struct{ plain }

func parseDummy(f *fields) (Spec, error) { return Dummy{plain{ignored: f.warnings()}}, f.err }

// Type is "dummy".
func (Dummy) Type() string         { return "dummy" }
func (Dummy) stacked() bool        { return true }
func (Dummy) module() kernelModule { return kernelModule{"dummy", "CONFIG_DUMMY"} }

func (Dummy) check(a *Attachment) error {
	if len(a.Addresses) == 0 {
		return BadConfig{Type: "dummy", Message: "dummy interface requires an IPAM configuration", Hint: "give the network an ipam section"}
	}
	return nil
}

func (Dummy) record(_ *job, w *Wired) { w.Kind = "dummy" }
func (Dummy) create(_ *transaction, j *job) (link.Op, bool) {
	return link.NewDummy(link.End{Name: j.IfName, MAC: j.mac, MTU: j.mtu, Group: link.Group}), true
}
