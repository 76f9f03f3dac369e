package kind

import (
	"net"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Bridge is a port on a bridge of the node.
type Bridge struct {
	plain
	// Name of the bridge; it is made when absent, and removed with its last port when made by us.
	Name string
	// Uplink is an interface of the node that is enslaved, so that the segment leaves the node; "" for none.
	Uplink string
	// IsGateway puts the gateway addresses on the bridge, IsDefaultGateway also asks for the default route by them.
	IsGateway, IsDefaultGateway bool
	// ForceAddress replaces other addresses of the family on the bridge.
	ForceAddress bool
	IPMasq       bool
	// MTU in bytes of bridge and port, 0 for the bridge's own.
	MTU int
	// HairpinMode lets a frame leave by the port it came from; PromiscMode makes the bridge do that for all.
	HairpinMode, PromiscMode bool
	// PortIsolation keeps the port from talking to other isolated ones.
	PortIsolation bool
	// VLAN is the one of frames without a tag, 0 for none; Trunk are those with one, in order and without overlap.
	VLAN  uint16
	Trunk []link.VLANs
	// PreserveDefaultVLAN leaves the port in the bridge's default VLAN too.
	PreserveDefaultVLAN bool
	// MACSpoofCheck drops what the Pod sends with another hardware address.
	MACSpoofCheck bool
	// DetectDuplicates has the kernel look for duplicates of IPv6 addresses (enabledad).
	DetectDuplicates bool
	// Down leaves the Pod's interface down (disableContainerInterface).
	Down bool
	// MAC asked for by args.cni.mac; Attachment.MAC comes first.
	MAC net.HardwareAddr
}

func parseBridge(f *fields) (Spec, error) {
	s := Bridge{
		Name:                f.device("bridge"),
		Uplink:              f.device("uplink"),
		IsGateway:           f.flag("isGateway"),
		IsDefaultGateway:    f.flag("isDefaultGateway"),
		ForceAddress:        f.flag("forceAddress"),
		IPMasq:              f.flag("ipMasq"),
		MTU:                 f.mtu(),
		HairpinMode:         f.flag("hairpinMode"),
		PromiscMode:         f.flag("promiscMode"),
		PortIsolation:       f.flag("portIsolation"),
		VLAN:                uint16(f.number("vlan", 0, 4094)),
		Trunk:               f.trunk("vlanTrunk", 1),
		PreserveDefaultVLAN: f.flag("preserveDefaultVlan"),
		MACSpoofCheck:       f.flag("macspoofchk"),
		DetectDuplicates:    f.flag("enabledad"),
		Down:                f.flag("disableContainerInterface"),
		MAC:                 argsMAC(f),
	}
	f.choice("ipMasqBackend", "", "iptables", "nftables") // ours is always nftables, and the outcome is the same
	if s.Name == "" {
		s.Name = "cni0"
	}
	s.IsGateway = s.IsGateway || s.IsDefaultGateway
	if s.HairpinMode && s.PromiscMode {
		f.fail("hairpinMode", "cannot set hairpin mode and promiscuous mode at the same time")
	}
	if s.Uplink == s.Name {
		f.fail("uplink", "%q is the bridge itself", s.Uplink)
	}
	s.ignored = f.warnings()
	return s, f.err
}

// argsMAC is the hardware address in args.cni.mac, where the annotation's cni-args arrive.
func argsMAC(f *fields) net.HardwareAddr {
	args := f.object("args")
	cni := args.object("cni")
	mac := cni.mac("mac")
	args.adopt("cni", cni)
	f.adopt("args", args)
	return mac
}

// Segment is the bridge.
func (s Bridge) Segment() string { return "bridge/" + s.Name }

// leaves: a bridge that somebody else made leads to wherever they want it to.
func (s Bridge) leaves(j *job) bool { return s.Uplink != "" || j.below.Group != link.Group }

// Type is "bridge".
func (Bridge) Type() string { return "bridge" }

// Masquerade is the option ipMasq.
func (s Bridge) Masquerade() bool { return s.IPMasq }

// WantsDefault is the option isDefaultGateway.
func (s Bridge) WantsDefault() bool { return s.IsDefaultGateway }

// filters tells that the port has VLANs.
func (s Bridge) filters() bool { return s.VLAN != 0 || len(s.Trunk) > 0 }

func (s Bridge) notices() notices {
	if s.DetectDuplicates {
		return notices{arp: true, dad: "1"}
	}
	return notices{arp: true, dad: "0"}
}

func (s Bridge) check(a *Attachment) error {
	switch {
	case s.Down && len(a.Addresses) > 0:
		return BadConfig{Type: "bridge", Field: "disableContainerInterface", Message: "cannot use IPAM when DisableContainerInterface flag is set",
			Hint: "remove the ipam section, or disableContainerInterface"}
	case !s.IsGateway:
		return nil
	case len(gateways(s.complete(a.Addresses))) == 0:
		return BadConfig{Type: "bridge", Field: "isGateway", Message: "the network's addresses have no gateway",
			Hint: "give the ipam section a gateway"}
	}
	for _, address := range s.complete(a.Addresses) {
		if address.Gateway == address.Prefix.Addr() {
			return BadConfig{Type: "bridge", Field: "isGateway", Message: "address " + address.Gateway.String() + " is the gateway of its subnet",
				Hint: "exclude it from the network's range, or give the ipam section another gateway"}
		}
	}
	return nil
}

// complete gives addresses without a gateway the first address of their subnet for one, as the reference plugin does.
func (s Bridge) complete(addresses []Address) []Address {
	if !s.IsGateway {
		return addresses
	}
	all := slices.Clone(addresses)
	for i, a := range all {
		if !a.Gateway.IsValid() && a.Prefix.Bits() < a.Prefix.Addr().BitLen()-1 {
			all[i].Gateway = a.Prefix.Masked().Addr().Next()
		}
	}
	return all
}

// DefaultGateways are those of the subnets.
func (s Bridge) DefaultGateways(addresses []Address) []netip.Addr {
	return gateways(s.complete(addresses))
}
