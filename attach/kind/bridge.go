package kind

import (
	"net"
	"strconv"

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
	// MAC asked for by args.cni.mac; Attachment.MAC comes first.
	MAC net.HardwareAddr
}

const vlanLater = "VLANs on a bridge are not built in yet"

func parseBridge(f *fields) (Spec, error) {
	s := Bridge{
		Name:             f.device("bridge"),
		Uplink:           f.device("uplink"),
		IsGateway:        f.flag("isGateway"),
		IsDefaultGateway: f.flag("isDefaultGateway"),
		ForceAddress:     f.flag("forceAddress"),
		IPMasq:           f.flag("ipMasq"),
		MTU:              f.mtu(),
		HairpinMode:      f.flag("hairpinMode"),
		PromiscMode:      f.flag("promiscMode"),
		PortIsolation:    f.flag("portIsolation"),
		MAC:              argsMAC(f),
	}
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
	refuseBridgeOptions(f)
	s.ignored = f.warnings()
	return s, f.err
}

// refuseBridgeOptions refuses by name what the reference plugin can do and this one cannot. A value that asks for nothing passes.
func refuseBridgeOptions(f *fields) {
	f.choice("ipMasqBackend", "", "iptables", "nftables")
	f.flag("preserveDefaultVlan") // without vlan or vlanTrunk it has no effect in the reference plugin either
	if vlan := f.number("vlan", 0, 4094); vlan != 0 {
		f.refuse("vlan", vlanLater+" (asked for was "+strconv.Itoa(vlan)+")")
	}
	var trunk []any
	if f.into("vlanTrunk", "a list", &trunk); len(trunk) > 0 {
		f.refuse("vlanTrunk", vlanLater)
	}
	if f.flag("macspoofchk") {
		f.refuse("macspoofchk", "MAC spoofing checks are not built in yet")
	}
	if f.flag("enabledad") {
		f.refuse("enabledad", "addresses are unique by their pool and are used without detection of duplicates")
	}
	if f.flag("disableContainerInterface") {
		f.refuse("disableContainerInterface", "interfaces are always up")
	}
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

func (s Bridge) check(a *Attachment) error {
	if !s.IsGateway {
		return nil
	}
	if len(gateways(a.Addresses)) == 0 {
		return BadConfig{Type: "bridge", Field: "isGateway", Message: "the network's addresses have no gateway",
			Hint: "give the ipam section a gateway"}
	}
	return nil
}
