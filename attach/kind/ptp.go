package kind

// PTP is a veth between Pod and node, routed by the node: the node's end carries the gateway address, or stands for a link-local
// one when the addresses have none.
type PTP struct {
	plain
	// MTU in bytes, 0 for the kernel's own.
	MTU int
	// IPMasq asks that the node hides the Pod's addresses.
	IPMasq bool
}

func parsePTP(f *fields) (Spec, error) {
	s := PTP{MTU: f.mtu(), IPMasq: f.flag("ipMasq")}
	f.choice("ipMasqBackend", "", "iptables", "nftables") // ours is always nftables, and the outcome is the same
	s.ignored = f.warnings()
	return s, f.err
}

// Type is "ptp".
func (PTP) Type() string { return "ptp" }

// Masquerade is the option ipMasq.
func (s PTP) Masquerade() bool { return s.IPMasq }

func (PTP) check(a *Attachment) error {
	if len(a.Addresses) == 0 {
		return BadConfig{Type: "ptp", Message: "needs an address", Hint: "give the network an ipam section"}
	}
	return nil
}
