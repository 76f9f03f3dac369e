package kind

// Loopback is the interface lo: Wire sets it up in every sandbox, asked for or not.
type Loopback struct{ plain }

func parseLoopback(f *fields) (Spec, error) {
	return Loopback{plain{ignored: f.warnings()}}, f.err
}

func (Loopback) Type() string { return "loopback" }

func (Loopback) check(a *Attachment) error {
	if a.IfName != "lo" {
		return BadConfig{Type: "loopback", Message: "the interface must be lo, asked for was " + a.IfName}
	}
	return nil
}
