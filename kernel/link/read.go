package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is an interface as the kernel shows it.
type Link struct {
	Index int
	Name  string
	// Kind is "veth", "bridge", "macvlan", …; "" for hardware.
	Kind string
	MAC  net.HardwareAddr
	MTU  int
	// Up is the administrative state, Carrier tells that the link below works.
	Up, Carrier, Loopback bool
	// Promisc is the promiscuous flag as set by an administrator.
	Promisc bool
	// AllMulticast tells that it takes in every multicast frame; QueueLength is that of its transmit queue, in packets.
	AllMulticast bool
	QueueLength  uint32
	// Master is the index of the bridge or bond it belongs to; 0 for none.
	Master int
	// Parent is the index of the link below (macvlan) or at the other end (veth), in its own namespace; 0 for none.
	Parent int
	// ParentSpace is the number of that namespace (Conn.NumberOf), -1 when it is the same.
	ParentSpace int
	Group       uint32
	Alias       string
	// Port is set for ports of a bridge.
	Port PortOptions
	// Mode of a macvlan ("bridge", "private", "vepa", "passthru") or an ipvlan ("l2", "l3", "l3s").
	Mode string
	// BroadcastQueue is the wanted length of a macvlan's queue; 0 is the kernel's own choice, 1000.
	BroadcastQueue uint32
	// VLAN is the ID of an 802.1Q sub-interface.
	VLAN uint16
	// FiltersVLANs tells that a bridge looks at VLAN tags.
	FiltersVLANs bool
	// Table is that of a VRF.
	Table uint32
	// Tap is set for taps.
	Tap *TapInfo
}

// Links lists all interfaces of the namespace.
func (c *Conn) Links() ([]Link, error) { return c.Ports(0) }

// Ports lists the interfaces that belong to a bridge or bond, or all when master is 0.
func (c *Conn) Ports(master int) ([]Link, error) {
	var body message
	body.info(0, 0, 0)
	body.u32(unix.IFLA_EXT_MASK, skipStatistics)
	if master != 0 {
		body.u32(unix.IFLA_MASTER, uint32(master))
	}
	var all []Link
	err := c.dump("interfaces", unix.RTM_GETLINK, body, func() { all = all[:0] }, func(_ uint16, b []byte) {
		if l, ok := readLink(b); ok && (master == 0 || l.Master == master) {
			all = append(all, l)
		}
	})
	return all, err
}

// skipStatistics is RTEXT_FILTER_SKIP_STATS: counters make up most of a link's message and nobody reads them here.
const skipStatistics = 1 << 3

// ByName reads one interface. The error is Missing when there is none.
func (c *Conn) ByName(name string) (Link, error) {
	var body message
	body.info(0, 0, 0)
	body.text(unix.IFLA_IFNAME, name)
	body.u32(unix.IFLA_EXT_MASK, skipStatistics)
	return c.get(Op{what: "look up interface", device: name, typ: unix.RTM_GETLINK, body: body})
}

// ByIndex reads one interface. The error is Missing when there is none.
func (c *Conn) ByIndex(index int) (Link, error) {
	var body message
	body.info(index, 0, 0)
	body.u32(unix.IFLA_EXT_MASK, skipStatistics)
	return c.get(Op{what: fmt.Sprintf("look up interface %d", index), typ: unix.RTM_GETLINK, body: body})
}

func (c *Conn) get(o Op) (found Link, err error) {
	err = c.getRaw(o, func(body []byte) { found, _ = readLink(body) })
	return found, err
}

// getRaw asks for one thing; the body that found gets is valid only during the call.
func (c *Conn) getRaw(o Op, found func(body []byte)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	seq := c.seq
	if err := c.send(o.encode(nil, seq, 0)); err != nil {
		return &Error{Op: o.String(), Err: err}
	}
	for done := false; !done; {
		if err := c.receive(func(h header, body []byte) error {
			if h.seq != seq {
				return nil
			}
			done = true
			if h.typ == unix.NLMSG_ERROR {
				return o.failure(h, body)
			}
			found(body)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// readLink reads an RTM_NEWLINK message.
func readLink(b []byte) (Link, bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return Link{}, false
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	l := Link{
		Index:    int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Up:       flags&unix.IFF_UP != 0,
		Carrier:  flags&unix.IFF_LOWER_UP != 0,
		Loopback: flags&unix.IFF_LOOPBACK != 0,
		Promisc:  flags&unix.IFF_PROMISC != 0,

		AllMulticast: flags&unix.IFF_ALLMULTI != 0,
		ParentSpace:  noNumber,
	}
	attrs(b[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.Name = text(v)
		case unix.IFLA_IFALIAS:
			l.Alias = text(v)
		case unix.IFLA_ADDRESS:
			l.MAC = slices.Clone(v)
		case unix.IFLA_MTU:
			l.MTU = int(u32(v))
		case unix.IFLA_MASTER:
			l.Master = int(u32(v))
		case unix.IFLA_LINK:
			l.Parent = int(u32(v))
		case unix.IFLA_LINK_NETNSID:
			l.ParentSpace = int(int32(u32(v)))
		case unix.IFLA_TXQLEN:
			l.QueueLength = u32(v)
		case unix.IFLA_GROUP:
			l.Group = u32(v)
		case unix.IFLA_LINKINFO:
			l.readInfo(v)
		}
	})
	return l, l.Index > 0
}

func (l *Link) readInfo(b []byte) {
	attrs(b, func(typ uint16, v []byte) {
		switch typ {
		case unix.IFLA_INFO_KIND:
			l.Kind = text(v)
		case unix.IFLA_INFO_DATA:
			l.readData(v)
		case unix.IFLA_INFO_SLAVE_DATA:
			attrs(v, func(typ uint16, v []byte) {
				switch typ {
				case unix.IFLA_BRPORT_MODE:
					l.Port.Hairpin = len(v) > 0 && v[0] != 0
				case unix.IFLA_BRPORT_ISOLATED:
					l.Port.Isolated = len(v) > 0 && v[0] != 0
				}
			})
		}
	})
}

// readData reads what belongs to the kind.
func (l *Link) readData(b []byte) {
	switch l.Kind {
	case "macvlan":
		attrs(b, func(typ uint16, v []byte) {
			switch typ {
			case nl.IFLA_MACVLAN_MODE:
				l.Mode = modeName(u32(v))
			case nl.IFLA_MACVLAN_BC_QUEUE_LEN:
				l.BroadcastQueue = u32(v)
			}
		})
	case "ipvlan":
		attrs(b, func(typ uint16, v []byte) {
			if typ == nl.IFLA_IPVLAN_MODE {
				l.Mode = ipvlanMode(u16(v))
			}
		})
	case "vlan":
		attrs(b, func(typ uint16, v []byte) {
			if typ == nl.IFLA_VLAN_ID {
				l.VLAN = u16(v)
			}
		})
	case "bridge":
		attrs(b, func(typ uint16, v []byte) {
			if typ == unix.IFLA_BR_VLAN_FILTERING {
				l.FiltersVLANs = len(v) > 0 && v[0] != 0
			}
		})
	case "vrf":
		attrs(b, func(typ uint16, v []byte) {
			if typ == nl.IFLA_VRF_TABLE {
				l.Table = u32(v)
			}
		})
	case "tun":
		l.Tap = &TapInfo{}
		attrs(b, func(typ uint16, v []byte) {
			switch typ {
			case nl.IFLA_TUN_OWNER:
				owner := u32(v)
				l.Tap.Owner = &owner
			case nl.IFLA_TUN_GROUP:
				group := u32(v)
				l.Tap.Group = &group
			case nl.IFLA_TUN_MULTI_QUEUE:
				l.Tap.MultiQueue = len(v) > 0 && v[0] != 0
			}
		})
	}
}

func text(v []byte) string {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return string(v)
}

func u16(v []byte) uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(v)
}

func u32(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}
