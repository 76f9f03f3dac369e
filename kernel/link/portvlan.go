package link

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// VLANs are the VLANs From to To at a port of a bridge; one when they are the same.
type VLANs struct {
	From uint16 `json:"from"`
	To   uint16 `json:"to"`
}

func (v VLANs) String() string {
	if v.From == v.To {
		return fmt.Sprint(v.From)
	}
	return fmt.Sprintf("%d–%d", v.From, v.To)
}

// PortVLANs are the VLANs of a port, as the bridge has them.
type PortVLANs struct {
	// Native is the VLAN of frames that come without a tag (PVID); 0 for none.
	Native uint16 `json:"native,omitempty"`
	// Bare are the VLANs whose frames leave without a tag, Tagged the others, in order.
	Bare   []VLANs `json:"bare,omitempty"`
	Tagged []VLANs `json:"tagged,omitempty"`
}

// Tagging says how frames of a VLAN pass a port.
type Tagging uint16

// Frames leave with a tag, or without one (Bare); those that come without one belong to the Native VLAN, of which there is one.
const (
	Tagged Tagging = 0
	Bare   Tagging = nl.BRIDGE_VLAN_INFO_UNTAGGED
	Native Tagging = nl.BRIDGE_VLAN_INFO_PVID | nl.BRIDGE_VLAN_INFO_UNTAGGED
)

// AddPortVLANs lets VLANs through at a port.
func AddPortVLANs(device string, index int, as Tagging, v ...VLANs) Op {
	return Op{what: fmt.Sprintf("let VLAN %v through", v), device: device, typ: unix.RTM_SETLINK, body: portMessage(index, uint16(as), v)}
}

// DeletePortVLANs keeps VLANs out of a port.
func DeletePortVLANs(device string, index int, v ...VLANs) Op {
	return Op{what: fmt.Sprintf("keep VLAN %v out", v), device: device, typ: unix.RTM_DELLINK, body: portMessage(index, 0, v)}
}

func portMessage(index int, flags uint16, all []VLANs) message {
	m := message{unix.AF_BRIDGE, 0, 0, 0}
	m = append32(m, uint32(index))
	m = append32(append32(m, 0), 0)
	m.nest(unix.IFLA_AF_SPEC, func(m *message) {
		one := func(flags, id uint16) {
			m.attr(nl.IFLA_BRIDGE_VLAN_INFO, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, flags), id))
		}
		for _, v := range all {
			if v.From == v.To {
				one(flags, v.From)
				continue
			}
			one(flags|nl.BRIDGE_VLAN_INFO_RANGE_BEGIN, v.From)
			one(flags|nl.BRIDGE_VLAN_INFO_RANGE_END, v.To)
		}
	})
	return m
}

// VLANsOfPorts lists the VLANs of all ports of bridges, by index; a bridge itself is one too.
func (c *Conn) VLANsOfPorts() (map[int]PortVLANs, error) {
	m := message{unix.AF_BRIDGE, 0, 0, 0}
	m = append32(append32(append32(m, 0), 0), 0)
	m.u32(unix.IFLA_EXT_MASK, nl.RTEXT_FILTER_BRVLAN_COMPRESSED)
	var all map[int]PortVLANs
	err := c.dump("VLANs of bridge ports", unix.RTM_GETLINK, m, func() { all = map[int]PortVLANs{} }, func(_ uint16, b []byte) {
		if index, v, ok := readPortVLANs(b); ok {
			all[index] = v
		}
	})
	return all, err
}

func readPortVLANs(b []byte) (index int, p PortVLANs, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_BRIDGE {
		return 0, p, false
	}
	index = int(int32(u32(b[4:])))
	attrs(b[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
		if typ != unix.IFLA_AF_SPEC {
			return
		}
		var from uint16
		attrs(v, func(typ uint16, v []byte) {
			if typ != nl.IFLA_BRIDGE_VLAN_INFO || len(v) < 4 {
				return
			}
			flags, id := binary.NativeEndian.Uint16(v), binary.NativeEndian.Uint16(v[2:])
			if flags&nl.BRIDGE_VLAN_INFO_RANGE_BEGIN != 0 {
				from = id
				return
			}
			one := VLANs{id, id}
			if flags&nl.BRIDGE_VLAN_INFO_RANGE_END != 0 {
				one.From = from
			}
			if flags&nl.BRIDGE_VLAN_INFO_PVID != 0 {
				p.Native = id
			}
			if flags&nl.BRIDGE_VLAN_INFO_UNTAGGED != 0 {
				p.Bare = append(p.Bare, one)
			} else {
				p.Tagged = append(p.Tagged, one)
			}
			ok = true
		})
	})
	return index, p, ok
}
