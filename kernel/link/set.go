package link

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Change is a set of changes to one existing link, made in one message. Nil and zero fields leave things as they are.
type Change struct {
	// Device is the name for errors; Index says which link it is.
	Device string
	Index  int
	// Name renames it, NS moves it (it is down then unless Up says otherwise).
	Name    string
	NS      *netns.Namespace
	MAC     net.HardwareAddr
	MTU     int
	Alias   *string
	Group   *uint32
	Master  *int // 0 takes it out of its bridge
	Up      *bool
	Promisc *bool
	// AllMulticast takes in every multicast frame. QueueLength is that of the transmit queue, in packets; 0 is possible.
	AllMulticast *bool
	QueueLength  *uint32
}

// Set is the operation for a Change.
func Set(c Change) Op {
	var flags, mask uint32
	for bit, want := range map[uint32]*bool{unix.IFF_UP: c.Up, unix.IFF_PROMISC: c.Promisc, unix.IFF_ALLMULTI: c.AllMulticast} {
		if want != nil {
			mask |= bit
			if *want {
				flags |= bit
			}
		}
	}
	var m message
	m.info(c.Index, flags, mask)
	if c.NS != nil {
		m.u32(unix.IFLA_NET_NS_FD, uint32(c.NS.FD()))
	}
	if c.Name != "" {
		m.text(unix.IFLA_IFNAME, c.Name)
	}
	if c.MAC != nil {
		m.attr(unix.IFLA_ADDRESS, c.MAC)
	}
	if c.MTU > 0 {
		m.u32(unix.IFLA_MTU, uint32(c.MTU))
	}
	if c.QueueLength != nil {
		m.u32(unix.IFLA_TXQLEN, *c.QueueLength)
	}
	if c.Alias != nil {
		m.text(unix.IFLA_IFALIAS, *c.Alias)
	}
	if c.Group != nil {
		m.u32(unix.IFLA_GROUP, *c.Group)
	}
	if c.Master != nil {
		m.u32(unix.IFLA_MASTER, uint32(*c.Master))
	}
	return Op{what: c.describe(), device: c.Device, typ: unix.RTM_SETLINK, body: m}
}

func (c Change) describe() string {
	switch {
	case c.NS != nil:
		return "move interface to " + c.NS.Path()
	case c.Name != "":
		return "rename interface to " + c.Name
	case c.Master != nil:
		return "change bridge of interface"
	case c.Up != nil && *c.Up:
		return "set interface up"
	}
	return "change interface"
}

// Up sets an interface up.
func Up(device string, index int) Op {
	yes := true
	return Set(Change{Device: device, Index: index, Up: &yes})
}

// PortOptions are properties of a port of a bridge.
type PortOptions struct{ Hairpin, Isolated bool }

// SetPort sets the properties of a bridge port.
func SetPort(device string, index int, p PortOptions) Op {
	var m message
	m.info(index, 0, 0)
	m.nest(unix.IFLA_LINKINFO, func(m *message) {
		m.text(unix.IFLA_INFO_SLAVE_KIND, "bridge")
		m.nest(unix.IFLA_INFO_SLAVE_DATA, func(m *message) {
			m.u8(unix.IFLA_BRPORT_MODE, bit(p.Hairpin))
			m.u8(unix.IFLA_BRPORT_ISOLATED, bit(p.Isolated))
		})
	})
	return Op{what: "set options of bridge port", device: device, typ: unix.RTM_NEWLINK, body: m}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
