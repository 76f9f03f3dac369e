package route

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// VXLAN is an external VXLAN-GPE device: it has no tunnel of its own, takes packets of any network identifier, and sends what routes
// with a Tunnel give it. One is enough for both families inside and outside.
type VXLAN struct {
	Name string
	// Port is the UDP port, local and remote.
	Port int
	// MTU in bytes of the packets inside.
	MTU int
	// Group is the link group.
	Group uint32
}

// Attributes of VXLAN (linux/if_link.h) that vishvananda/netlink lacks or names differently.
const (
	vxlanPort            = 15
	vxlanCollectMetadata = 25
	vxlanGPE             = 27

	noAddress = 1 // IN6_ADDR_GEN_MODE_NONE
)

// Make makes the device, up, without an IPv6 link-local address (there is nobody to speak to without a tunnel). It takes three
// messages; Up finishes what was begun.
func (c *Conn) Make(v VXLAN) error {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.NonZeroTerminated("vxlan"))
	data := info.AddRtAttr(unix.IFLA_INFO_DATA, nil)
	data.AddRtAttr(vxlanPort, binary.BigEndian.AppendUint16(nil, uint16(v.Port)))
	data.AddRtAttr(nl.IFLA_VXLAN_LEARNING, nl.Uint8Attr(0))
	data.AddRtAttr(vxlanCollectMetadata, nl.Uint8Attr(1))
	data.AddRtAttr(vxlanGPE, nil)
	name := nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(v.Name))
	err := c.change(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, nl.NewIfInfomsg(unix.AF_UNSPEC), name,
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(v.MTU))),
		nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(v.Group)),
		info)
	if err != nil {
		return fmt.Errorf("make VXLAN-GPE device %s on UDP port %d: %w", v.Name, v.Port, err)
	}
	return c.Up(v.Name)
}

// Up sets a device up that gets no IPv6 link-local address. The kernel wants to be told of both one after the other, and of the
// address mode not before the device exists.
func (c *Conn) Up(device string) error {
	name := nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(device))
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(noAddress))
	err := c.change(unix.RTM_SETLINK, 0, nl.NewIfInfomsg(unix.AF_UNSPEC), name, spec)
	if err != nil && !NoFamily(err) {
		return fmt.Errorf("take link-local addresses from %s: %w", device, err)
	}
	up := nl.NewIfInfomsg(unix.AF_UNSPEC)
	up.Flags, up.Change = unix.IFF_UP, unix.IFF_UP
	if err := c.change(unix.RTM_SETLINK, 0, up, name); err != nil {
		return fmt.Errorf("set %s up: %w", device, err)
	}
	return nil
}

// Device is the state of an interface that may be a VXLAN of ours.
type Device struct {
	Index, MTU int
	Up         bool
	// Fits tells that it is what Make would have made, MTU and group aside.
	Fits bool
}

// Device reads the interface called v.Name and compares it with v. found is false when there is none.
func (c *Conn) Device(v VXLAN) (d Device, found bool, err error) {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	messages, err := c.list(unix.RTM_GETLINK, unix.RTM_NEWLINK, 0, m, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(v.Name)))
	if Missing(err) {
		return d, false, nil
	}
	if err != nil {
		return d, false, fmt.Errorf("look up interface %s: %w", v.Name, err)
	}
	for _, b := range messages {
		h := nl.DeserializeIfInfomsg(b)
		attrs, err := nl.ParseRouteAttr(b[h.Len():])
		if err != nil {
			return d, false, fmt.Errorf("read interface %s: %w", v.Name, err)
		}
		d.Index, d.Up, found = int(h.Index), h.Flags&unix.IFF_UP != 0, true
		for _, a := range attrs {
			switch a.Attr.Type &^ unix.NLA_F_NESTED {
			case unix.IFLA_MTU:
				d.MTU = int(nl.NativeEndian().Uint32(a.Value))
			case unix.IFLA_LINKINFO:
				d.Fits = fits(a.Value, v.Port)
			}
		}
	}
	return d, found, nil
}

// fits reads IFLA_LINKINFO.
func fits(b []byte, port int) bool {
	info, err := nl.ParseRouteAttrAsMap(b)
	if err != nil || nl.BytesToString(info[unix.IFLA_INFO_KIND].Value) != "vxlan" {
		return false
	}
	data, err := nl.ParseRouteAttr(info[unix.IFLA_INFO_DATA].Value)
	if err != nil {
		return false
	}
	var gpe, external, onPort bool
	for _, a := range data {
		switch a.Attr.Type {
		case vxlanGPE:
			gpe = true
		case vxlanCollectMetadata:
			external = len(a.Value) == 1 && a.Value[0] == 1
		case vxlanPort:
			onPort = len(a.Value) == 2 && int(binary.BigEndian.Uint16(a.Value)) == port
		}
	}
	return gpe && external && onPort
}
