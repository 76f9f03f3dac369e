package trunk

import (
	"fmt"
	"net"
	"net/netip"
)

// Port is an interface of the node that leads to one on a VLAN: the near end
// of a veth, or any other whose frames the node sees come in.
type Port struct {
	// Index of the interface.
	Index int
	// Trunk is the index of the interface that carries the VLAN, VLAN its
	// number, 1 to 4094.
	Trunk, VLAN int
	// MAC of the far end.
	MAC net.HardwareAddr
	Check
	// Bridged tells that what passes goes on to a bridge that Index is a port
	// of, and not through the switch.
	Bridged bool
}

// Check is what a port is held to, beside sending no tagged frames.
type Check struct {
	// MAC lets it send from its own hardware address only.
	MAC bool
	// Addresses, when there are any, lets it send from these only, in IP, ARP
	// and neighbour advertisements, and keeps it from being a router. IPv6
	// link-local addresses are always its own.
	Addresses []netip.Addr
}

const (
	checkMAC = 1 << iota
	checkIP
	bridged
)

// The structs of switch.c.
type (
	portValue struct {
		Trunk uint32
		VLAN  uint16
		MAC   [6]byte
		Flags uint32
	}
	vlanKey struct{ Trunk, VLAN uint32 }
	fdbKey  struct {
		Trunk uint32
		VLAN  uint16
		MAC   [6]byte
	}
	memberKey  struct{ Trunk, VLAN, Slot uint32 }
	addressKey struct {
		Port uint32
		IP   [16]byte
	}
	dropKey struct {
		Port, Trunk  uint32
		VLAN, Reason uint16
	}
)

func (p Port) value() portValue {
	v := portValue{Trunk: uint32(p.Trunk), VLAN: uint16(p.VLAN), MAC: [6]byte(p.MAC)}
	if p.Check.MAC {
		v.Flags |= checkMAC
	}
	if len(p.Addresses) > 0 {
		v.Flags |= checkIP
	}
	if p.Bridged {
		v.Flags |= bridged
	}
	return v
}

func (v portValue) port(index uint32) Port {
	return Port{Index: int(index), Trunk: int(v.Trunk), VLAN: int(v.VLAN), MAC: net.HardwareAddr(v.MAC[:]),
		Check: Check{MAC: v.Flags&checkMAC != 0}, Bridged: v.Flags&bridged != 0}
}

func (v portValue) vlan() vlanKey { return vlanKey{v.Trunk, uint32(v.VLAN)} }
func (v portValue) fdb() fdbKey   { return fdbKey{v.Trunk, v.VLAN, v.MAC} }

func (p Port) valid() error {
	switch {
	case p.Index <= 0 || p.Trunk <= 0:
		return fmt.Errorf("port %d on trunk %d: no interface", p.Index, p.Trunk)
	case p.VLAN < 1 || p.VLAN > 4094:
		return fmt.Errorf("port %d: VLAN %d is not 1 to 4094", p.Index, p.VLAN)
	case len(p.MAC) != 6:
		return fmt.Errorf("port %d: %q is no Ethernet address", p.Index, p.MAC)
	}
	return nil
}

// Taken tells that another port of the VLAN has the MAC already.
type Taken struct {
	MAC   net.HardwareAddr
	Index int // of the port that has it
}

func (e Taken) Error() string {
	return fmt.Sprintf("MAC %s is that of port %d on the same VLAN", e.MAC, e.Index)
}
