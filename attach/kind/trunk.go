package kind

import (
	"fmt"
	"net"
	"strconv"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Trunk is a port on one VLAN of a trunk of the node: an interface that carries many VLANs, told apart by their tags (IEEE 802.1Q). What
// the VLAN stands on is made when its first Pod comes and goes with the last; untagged frames and other VLANs stay the node's.
type Trunk struct {
	plain
	// Name of the trunk, an interface of the node.
	Name string
	// ID of the VLAN, 1 to 4094.
	ID int
	// Datapath is what carries the VLAN; "" leaves it to the node.
	Datapath Datapath
	// AntiSpoof is what the Pod is held to.
	AntiSpoof AntiSpoof
	// MTU in bytes of the port, 0 for the trunk's.
	MTU int
	// MAC asked for by args.cni.mac; Attachment.MAC comes first.
	MAC net.HardwareAddr
}

// Datapath is what carries a VLAN of a trunk on a node.
type Datapath string

const (
	// EBPF is a switch in the kernel's traffic hooks (kernel/trunk). It needs neither 802.1Q nor bridge.
	EBPF Datapath = "ebpf"
	// SubInterface is an 802.1Q interface on a bridge.
	SubInterface Datapath = "bridge"
)

// AntiSpoof is what a Pod's frames must have to leave its port. Whatever it is, they must have no tag.
type AntiSpoof string

const (
	// ByAddress wants the port's MAC and, when the Pod's addresses are known, these addresses in IP, ARP and neighbour advertisements,
	// and no router advertisements.
	ByAddress AntiSpoof = "addresses"
	// ByMAC wants the port's MAC.
	ByMAC AntiSpoof = "mac"
	// ByNothing wants nothing: for Pods that are switches.
	ByNothing AntiSpoof = "none"
)

// ParseDatapath reads the name of a datapath; "" and "auto" leave the choice to the node.
func ParseDatapath(s string) (Datapath, error) {
	switch d := Datapath(s); d {
	case "", "auto":
		return "", nil
	case EBPF, SubInterface:
		return d, nil
	}
	return "", fmt.Errorf("datapath %q of trunks is none of auto, %s, %s", s, EBPF, SubInterface)
}

func parseTrunk(f *fields) (Spec, error) {
	s := Trunk{
		Name:      f.device("trunk"),
		AntiSpoof: AntiSpoof(f.choice("antiSpoof", string(ByAddress), string(ByMAC), string(ByNothing))),
		MTU:       f.mtu(),
		MAC:       argsMAC(f),
	}
	datapath := f.choice("datapath", "auto", string(EBPF), string(SubInterface))
	if s.Name == "" {
		f.fail("trunk", "the name of the node's interface that carries the VLANs is missing")
	}
	if !f.into("vlan", "a whole number", &s.ID) {
		f.fail("vlan", "the number of the VLAN is missing") // or it is none, and that is said already
	} else if s.ID < 1 || s.ID > 4094 {
		f.fail("vlan", "want a number from 1 to 4094, have %d", s.ID)
	}
	s.Datapath, _ = ParseDatapath(datapath)
	s.ignored = f.warnings()
	return s, f.err
}

// Type is "trunk".
func (Trunk) Type() string { return "trunk" }

// Segment is the trunk with the VLAN.
func (s Trunk) Segment() string               { return "trunk/" + s.Name + "." + strconv.Itoa(s.ID) }
func (Trunk) leaves(*job) bool                { return true }
func (s Trunk) link() (net.HardwareAddr, int) { return s.MAC, s.MTU }
func (s Trunk) refuse(field, text string) error {
	return BadConfig{Type: "trunk", Field: field, Message: text}
}

// bridge and subInterface are the names of what the datapath of that name stands on.
func (s Trunk) bridge() string       { return s.named("tsub-") }
func (s Trunk) subInterface() string { return s.named("tsuv-") }

func (s Trunk) named(prefix string) string {
	name := s.Name + "." + strconv.Itoa(s.ID)
	if len(prefix)+len(name) <= 15 {
		return prefix + name
	}
	sum := keySum(name, "")
	return prefix + fmt.Sprintf("%x", sum[:5])
}

// prepare finds the trunk and the datapath, and makes what the port stands on.
func (s Trunk) prepare(t *transaction, j *job) error {
	t.holdBridges()
	trunk, err := s.find(t)
	if err != nil {
		return err
	}
	if j.mtu > trunk.MTU {
		return s.refuse("mtu", fmt.Sprintf("%d is more than the %d of trunk %s", j.mtu, trunk.MTU, s.Name))
	}
	if j.mtu == 0 {
		j.mtu = trunk.MTU
	}
	if !trunk.Up {
		j.warnings = append(j.warnings, fmt.Sprintf("trunk %s was down and has been set up", s.Name))
		if err := t.node.Apply(link.Up(trunk.Name, trunk.Index)); err != nil {
			return err
		}
	}
	datapath, err := s.choose(t, trunk)
	if err != nil {
		return err
	}
	j.trunk = &TrunkPort{Name: s.Name, VLAN: s.ID, Datapath: datapath, AntiSpoof: s.AntiSpoof}
	if s.AntiSpoof == ByAddress && len(j.addresses) == 0 {
		j.trunk.AntiSpoof = ByMAC
	}
	j.trunkIndex = trunk.Index
	if datapath == SubInterface {
		j.below, err = s.ensureBridge(t, trunk)
	}
	return err
}

// find looks the trunk up and refuses one that another device takes all frames of.
func (s Trunk) find(t *transaction) (link.Link, error) {
	trunk, err := t.uplink("trunk", s.Name)
	switch {
	case err != nil:
		return trunk, err
	case trunk.Loopback:
		return trunk, DeviceBusy{Type: "trunk", Device: s.Name, Why: "is the loopback interface"}
	case trunk.Master != 0:
		master, err := t.node.ByIndex(trunk.Master)
		if err != nil {
			return trunk, err
		}
		return trunk, DeviceBusy{Type: "trunk", Device: s.Name, Why: fmt.Sprintf("belongs to %s (%s), which takes all its frames; a trunk may be that one itself", master.Name, describe(master))}
	case trunk.Kind == "vlan":
		return trunk, DeviceBusy{Type: "trunk", Device: s.Name, Why: "is a VLAN itself"}
	}
	return trunk, nil
}

func (s Trunk) create(t *transaction, j *job) (link.Op, bool) {
	return link.NewVeth(
		link.End{Name: j.hostIf, MAC: hostMAC(j.ContainerID, j.IfName), MTU: j.mtu, Master: j.below.Index},
		link.End{Name: j.IfName, MAC: j.mac, MTU: j.mtu, Group: link.Group, NS: t.ns},
	), true
}

func (s Trunk) record(j *job, w *Wired) {
	w.HostIf, w.HostMAC = j.hostIf, hostMAC(j.ContainerID, j.IfName).String()
	w.Kind, w.Trunk = "veth", j.trunk
	if j.trunk.Datapath == SubInterface {
		w.Bridge = s.bridge()
	}
}
