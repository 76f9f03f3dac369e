package link

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Group marks links of ours, inside Pods for removal in one go, on the node (bridges) to tell them from others'.
const Group = 0x7473

// End is one end of a new link. Zero values are the kernel's own choice.
type End struct {
	Name  string
	MAC   net.HardwareAddr
	MTU   int
	Group uint32
	// NS is where it is made; nil is the namespace of the socket.
	NS *netns.Namespace
	// Master is the index of a bridge it joins (not for a veth's far end).
	Master int
	// Promisc sets the promiscuous flag.
	Promisc bool
	// Down leaves it down (a veth's far end always is).
	Down bool
}

// attrs appends what is common to all new links.
func (e End) attrs(m *message) {
	m.text(unix.IFLA_IFNAME, e.Name)
	if e.MAC != nil {
		m.attr(unix.IFLA_ADDRESS, e.MAC)
	}
	if e.MTU > 0 {
		m.u32(unix.IFLA_MTU, uint32(e.MTU))
	}
	// One queue each way: the kernel makes one per CPU otherwise, every one with a directory in sysfs, and a link without a queueing
	// discipline gains nothing from them.
	m.u32(unix.IFLA_NUM_TX_QUEUES, 1)
	m.u32(unix.IFLA_NUM_RX_QUEUES, 1)
	if e.Group != 0 {
		m.u32(unix.IFLA_GROUP, e.Group)
	}
	if e.NS != nil {
		m.u32(unix.IFLA_NET_NS_FD, uint32(e.NS.FD()))
	}
	if e.Master != 0 {
		m.u32(unix.IFLA_MASTER, uint32(e.Master))
	}
}

// create is an RTM_NEWLINK that must not meet an existing link. The new one is up from the first moment unless
// it is to be down.
func create(e End, below int, kind string, data func(*message)) Op {
	var m message
	var flags uint32
	if !e.Down {
		flags |= unix.IFF_UP
	}
	if e.Promisc {
		flags |= unix.IFF_PROMISC
	}
	m.info(0, flags, flags)
	e.attrs(&m)
	if below != 0 {
		m.u32(unix.IFLA_LINK, uint32(below))
	}
	m.nest(unix.IFLA_LINKINFO, func(m *message) {
		m.text(unix.IFLA_INFO_KIND, kind)
		if data != nil {
			m.nest(unix.IFLA_INFO_DATA, data)
		}
	})
	return Op{what: "make " + kind, device: e.Name, typ: unix.RTM_NEWLINK, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, body: m}
}

// NewVeth makes a pair of links. The near one is up; the far one is down, because the kernel would open it before the pair is tied
// together (veth_newlink), so it needs Up.
func NewVeth(near, far End) Op {
	o := create(near, 0, "veth", func(m *message) {
		m.nest(nl.VETH_INFO_PEER, func(m *message) {
			m.info(0, 0, 0)
			far.attrs(m)
		})
	})
	o.device = near.Name + "–" + far.Name
	return o
}

// Macvlan is what a macvlan has beside a name.
type Macvlan struct {
	// Parent is the index of the uplink, in the namespace of the socket.
	Parent int
	// Mode is "bridge", "private", "vepa" or "passthru".
	Mode string
	// BroadcastQueue is the wanted length of the uplink's queue; 0 is the kernel's own choice.
	BroadcastQueue uint32
}

var macvlanModes = map[string]uint32{"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}

func modeName(mode uint32) string {
	for name, m := range macvlanModes {
		if m == mode {
			return name
		}
	}
	return fmt.Sprint(mode)
}

// NewMacvlan makes an interface on an uplink. The kernel also refuses (Exists) when the namespace of the socket, rather than that of
// the new link, has an interface of the name.
func NewMacvlan(e End, o Macvlan) Op {
	return create(e, o.Parent, "macvlan", func(m *message) {
		m.u32(nl.IFLA_MACVLAN_MODE, macvlanModes[o.Mode])
		if o.BroadcastQueue > 0 {
			m.u32(nl.IFLA_MACVLAN_BC_QUEUE_LEN, o.BroadcastQueue)
		}
	})
}

// NewBridge makes a bridge.
func NewBridge(e End) Op { return create(e, 0, "bridge", nil) }
