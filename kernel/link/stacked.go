package link

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// NewVLAN makes the 802.1Q sub-interface of a parent (an index in the namespace of the socket). A parent has one of each ID, wherever
// that is: a second one is Exists.
func NewVLAN(e End, parent int, id uint16) Op {
	return create(e, parent, "vlan", func(m *message) { m.u16(nl.IFLA_VLAN_ID, id) })
}

// ipvlanModes are the modes of an ipvlan (enum ipvlan_mode).
var ipvlanModes = []string{"l2", "l3", "l3s"}

// NewIPVLAN makes an interface that shares its parent's hardware address; the mode is "l2", "l3" or "l3s". A parent has one mode: the
// kernel changes that of the others on it.
func NewIPVLAN(e End, parent int, mode string) Op {
	return create(e, parent, "ipvlan", func(m *message) {
		for i, name := range ipvlanModes {
			if name == mode {
				m.u16(nl.IFLA_IPVLAN_MODE, uint16(i))
			}
		}
	})
}

func ipvlanMode(mode uint16) string {
	if int(mode) < len(ipvlanModes) {
		return ipvlanModes[mode]
	}
	return fmt.Sprint(mode)
}

// NewDummy makes an interface that leads nowhere.
func NewDummy(e End) Op { return create(e, 0, "dummy", nil) }

// NewFilteringBridge makes a bridge that looks at VLAN tags. It is Unsupported where the kernel has no VLAN filtering.
func NewFilteringBridge(e End) Op {
	return create(e, 0, "bridge", func(m *message) { m.u8(unix.IFLA_BR_VLAN_FILTERING, 1) })
}

// FilterVLANs makes a bridge look at VLAN tags from now on.
func FilterVLANs(device string, index int) Op {
	var m message
	m.info(index, 0, 0)
	m.nest(unix.IFLA_LINKINFO, func(m *message) {
		m.text(unix.IFLA_INFO_KIND, "bridge")
		m.nest(unix.IFLA_INFO_DATA, func(m *message) { m.u8(unix.IFLA_BR_VLAN_FILTERING, 1) })
	})
	return Op{what: "filter VLANs", device: device, typ: unix.RTM_NEWLINK, body: m}
}

// NewVRF makes a device whose interfaces look routes up in a table of their own. It is Unsupported where the kernel has none.
func NewVRF(e End, table uint32) Op {
	return create(e, 0, "vrf", func(m *message) { m.u32(nl.IFLA_VRF_TABLE, table) })
}
