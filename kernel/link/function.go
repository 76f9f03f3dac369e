package link

import (
	"bytes"
	"encoding/binary"
	"net"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Function is how a physical function (PF) of an SR-IOV card treats one of its virtual functions (VF). Rates are in Mbit/s.
type Function struct {
	ID  int
	MAC net.HardwareAddr
	// VLAN is put on frames of the function, with a priority; 0 for none. Service takes the tag of 802.1ad for it.
	VLAN     uint16
	Priority uint8
	Service  bool
	// SpoofCheck drops frames with another source address; Trust lets the function be promiscuous and the like. Nil is not known.
	SpoofCheck, Trust *bool
	// State is "auto", "enable" or "disable".
	State            string
	MinRate, MaxRate uint32
}

// FunctionChange says what of a function to change; nil is left as it is. Its JSON is short, to fit into an alias.
type FunctionChange struct {
	ID  int              `json:"id"`
	MAC net.HardwareAddr `json:"mac,omitempty"`
	// Priority and Service go with VLAN.
	VLAN       *uint16 `json:"v,omitempty"`
	Priority   uint8   `json:"qos,omitempty"`
	Service    bool    `json:"ad,omitempty"`
	SpoofCheck *bool   `json:"spoof,omitempty"`
	Trust      *bool   `json:"t,omitempty"`
	State      string  `json:"st,omitempty"`
	// MinRate and MaxRate are given both or none.
	MinRate *uint32 `json:"min,omitempty"`
	MaxRate *uint32 `json:"max,omitempty"`
}

// functionStates are the link states of a function (enum ifla_vf_link_state).
var functionStates = []string{"auto", "enable", "disable"}

// SetFunction changes one property of a virtual function for each operation that it returns: a card may know some of them and refuse
// others, and the error should say which.
func SetFunction(device string, index int, c FunctionChange) (ops []Op) {
	one := func(what string, typ uint16, values ...uint32) {
		data := binary.NativeEndian.AppendUint32(nil, uint32(c.ID))
		for _, v := range values {
			data = binary.NativeEndian.AppendUint32(data, v)
		}
		ops = append(ops, functionOp(what, device, index, func(m *message) { m.attr(typ, data) }))
	}
	if c.VLAN != nil {
		if c.Service {
			ops = append(ops, functionOp("set 802.1ad VLAN of virtual function", device, index, func(m *message) {
				m.nest(nl.IFLA_VF_VLAN_LIST, func(m *message) { m.attr(nl.IFLA_VF_VLAN_INFO, c.serviceTag()) })
			}))
		} else {
			one("set VLAN of virtual function", nl.IFLA_VF_VLAN, uint32(*c.VLAN), uint32(c.Priority))
		}
	}
	if c.MAC != nil {
		data := append(binary.NativeEndian.AppendUint32(nil, uint32(c.ID)), c.MAC...)
		data = append(data, make([]byte, 36-len(data))...) // struct ifla_vf_mac has room for 32 bytes
		ops = append(ops, functionOp("set MAC of virtual function", device, index, func(m *message) { m.attr(nl.IFLA_VF_MAC, data) }))
	}
	if c.MinRate != nil && c.MaxRate != nil {
		one("set rates of virtual function", nl.IFLA_VF_RATE, *c.MinRate, *c.MaxRate)
	}
	if c.SpoofCheck != nil {
		one("set spoof check of virtual function", nl.IFLA_VF_SPOOFCHK, uint32(bit(*c.SpoofCheck)))
	}
	if c.Trust != nil {
		one("set trust of virtual function", nl.IFLA_VF_TRUST, uint32(bit(*c.Trust)))
	}
	for i, name := range functionStates {
		if name == c.State {
			one("set link state of virtual function", nl.IFLA_VF_LINK_STATE, uint32(i))
		}
	}
	return ops
}

// serviceTag is a struct ifla_vf_vlan_info.
func (c FunctionChange) serviceTag() []byte {
	data := binary.NativeEndian.AppendUint32(nil, uint32(c.ID))
	data = binary.NativeEndian.AppendUint32(data, uint32(*c.VLAN))
	data = binary.NativeEndian.AppendUint32(data, uint32(c.Priority))
	data = binary.BigEndian.AppendUint16(data, unix.ETH_P_8021AD)
	return append(data, 0, 0)
}

func functionOp(what, device string, index int, fill func(*message)) Op {
	var m message
	m.info(index, 0, 0)
	m.nest(unix.IFLA_VFINFO_LIST, func(m *message) { m.nest(nl.IFLA_VF_INFO, fill) })
	return Op{what: what, device: device, typ: unix.RTM_SETLINK, body: m}
}

// Functions lists the virtual functions of a physical one, in order.
func (c *Conn) Functions(index int) ([]Function, error) {
	var body message
	body.info(index, 0, 0)
	body.u32(unix.IFLA_EXT_MASK, nl.RTEXT_FILTER_VF|skipStatistics)
	var all []Function
	err := c.getRaw(Op{what: "list virtual functions", typ: unix.RTM_GETLINK, body: body}, func(b []byte) { all = readFunctions(b) })
	return all, err
}

func readFunctions(b []byte) (all []Function) {
	if len(b) < unix.SizeofIfInfomsg {
		return nil
	}
	attrs(b[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
		if typ != unix.IFLA_VFINFO_LIST {
			return
		}
		attrs(v, func(_ uint16, v []byte) {
			var f Function
			attrs(v, func(typ uint16, v []byte) { f.read(typ, v) })
			all = append(all, f)
		})
	})
	return all
}

// read takes one attribute; all begin with the number of the function.
func (f *Function) read(typ uint16, v []byte) {
	if len(v) < 8 || typ == nl.IFLA_VF_STATS {
		return
	}
	value := u32(v[4:])
	flag := func() *bool {
		if value > 1 { // INT_MAX: the driver does not say
			return nil
		}
		b := value == 1
		return &b
	}
	switch typ {
	case nl.IFLA_VF_MAC:
		f.ID, f.MAC = int(u32(v)), bytes.Clone(v[4:min(10, len(v))])
	case nl.IFLA_VF_VLAN:
		f.VLAN = uint16(value)
		if len(v) >= 12 {
			f.Priority = uint8(u32(v[8:]))
		}
	case nl.IFLA_VF_VLAN_LIST:
		attrs(v, func(_ uint16, v []byte) {
			f.Service = len(v) >= 14 && binary.BigEndian.Uint16(v[12:]) == unix.ETH_P_8021AD
		})
	case nl.IFLA_VF_SPOOFCHK:
		f.SpoofCheck = flag()
	case nl.IFLA_VF_TRUST:
		f.Trust = flag()
	case nl.IFLA_VF_LINK_STATE:
		if int(value) < len(functionStates) {
			f.State = functionStates[value]
		}
	case nl.IFLA_VF_RATE:
		f.MinRate = value
		if len(v) >= 12 {
			f.MaxRate = u32(v[8:])
		}
	}
}
