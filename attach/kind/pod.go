package kind

import "net/netip"

// PodGateway4 and PodGateway6 are the next hops of Pods on a routed veth. No interface answers for them: a permanent neighbour
// leads to the node's end.
var (
	PodGateway4 = netip.AddrFrom4([4]byte{169, 254, 1, 1})
	PodGateway6 = netip.MustParseAddr("fe80::1")
)

// Pod is the interface of the default pod network: a veth whose node end routes, with the Pod's address alone in its subnet.
type Pod struct {
	plain
	// MTU in bytes, 0 for the kernel's own; Attachment.MTU comes first.
	MTU int
}

func parsePod(f *fields) (Spec, error) {
	s := Pod{MTU: f.mtu()}
	f.flag("ipMasq")
	f.text("ipMasqBackend")
	s.ignored = f.warnings()
	return s, f.err
}

// Type of the default pod network's interface; no reference plugin has this name.
func (Pod) Type() string { return "pod" }

// WantsDefault is true: the pod network is the way out unless another attachment asks to be.
func (Pod) WantsDefault() bool { return true }

// DefaultGateways are the link-local gateways of the families that the addresses have.
func (Pod) DefaultGateways(addresses []Address) []netip.Addr {
	var all []netip.Addr
	for _, a := range addresses {
		all = append(all, linkGateway(a.Prefix.Addr()))
	}
	return perFamily(all)
}

func (Pod) check(a *Attachment) error {
	if len(a.Addresses) == 0 {
		return BadConfig{Type: "pod", Message: "needs an address"}
	}
	return nil
}

// linkGateway is the gateway of an address's family on a routed veth.
func linkGateway(a netip.Addr) netip.Addr {
	if a.Is4() {
		return PodGateway4
	}
	return PodGateway6
}
