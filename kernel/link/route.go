package link

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// RouteProtocol marks routes of ours (rtm_protocol).
const RouteProtocol = 84

// Route is a unicast route through an interface.
type Route struct {
	Index int
	Dst   netip.Prefix
	// Gateway is the next hop, invalid for on-link; OnLink takes it without a route to it.
	Gateway netip.Addr
	OnLink  bool
	// Source is the preferred source address.
	Source netip.Addr
	// Table, 0 is main (254). Priority is the metric, MTU and AdvMSS are in bytes; 0 is the kernel's own choice.
	Table, Priority, MTU, AdvMSS int
	// Scope as in rtnetlink(7); nil is link without a gateway and universe with one.
	Scope *int
	// Protocol is who made it, 0 to 255; one that is made with 0 is ours, RouteProtocol.
	Protocol int
	// Expires is when it goes by itself, in seconds from now; 0 for never. With IPv6 only, and not read.
	Expires int
}

// mainTable is RT_TABLE_MAIN.
const mainTable = unix.RT_TABLE_MAIN

// AddRoute adds a route; it is Exists when there is one to the same destination with the same priority.
func AddRoute(device string, r Route) Op {
	return routeOp("add route", device, r, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
}

// ReplaceRoute adds a route in place of one to the same destination with the same priority.
func ReplaceRoute(device string, r Route) Op {
	return routeOp("replace route", device, r, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
}

// DeleteRoute removes a route.
func DeleteRoute(device string, r Route) Op {
	return routeOp("delete route", device, r, unix.RTM_DELROUTE, 0)
}

func routeOp(what, device string, r Route, typ, flags uint16) Op {
	what += " " + r.Dst.String()
	if r.Gateway.IsValid() {
		what += " via " + r.Gateway.String()
	}
	return Op{what: what, device: device, typ: typ, flags: flags, body: r.message(typ == unix.RTM_DELROUTE)}
}

// message is a struct rtmsg with its attributes.
func (r Route) message(del bool) message {
	scope := uint8(unix.RT_SCOPE_UNIVERSE)
	switch {
	case r.Scope != nil:
		scope = uint8(*r.Scope)
	case del:
		scope = unix.RT_SCOPE_NOWHERE // any
	case r.Dst.Addr().Is4() && !r.Gateway.IsValid():
		scope = unix.RT_SCOPE_LINK
	}
	protocol, kind := uint8(cmp.Or(r.Protocol, RouteProtocol)), uint8(unix.RTN_UNICAST)
	if del {
		protocol, kind = 0, 0
	}
	if r.Table == 0 {
		r.Table = mainTable
	}
	var flags uint32
	if r.OnLink {
		flags = unix.RTNH_F_ONLINK
	}
	m := message{family(r.Dst.Addr()), uint8(r.Dst.Bits()), 0, 0, uint8(min(r.Table, 255)), protocol, scope, kind}
	if r.Table > 255 {
		m[4] = unix.RT_TABLE_COMPAT
	}
	m = append32(m, flags)
	if r.Dst.Bits() > 0 {
		m.attr(unix.RTA_DST, r.Dst.Masked().Addr().AsSlice())
	}
	if r.Gateway.IsValid() {
		m.attr(unix.RTA_GATEWAY, r.Gateway.AsSlice())
	}
	m.u32(unix.RTA_OIF, uint32(r.Index))
	if r.Source.IsValid() {
		m.attr(unix.RTA_PREFSRC, r.Source.AsSlice())
	}
	m.u32(unix.RTA_TABLE, uint32(r.Table))
	if r.Priority > 0 {
		m.u32(unix.RTA_PRIORITY, uint32(r.Priority))
	}
	if r.Expires > 0 {
		m.u32(unix.RTA_EXPIRES, uint32(r.Expires))
	}
	if r.MTU > 0 || r.AdvMSS > 0 {
		m.nest(unix.RTA_METRICS, func(m *message) {
			if r.MTU > 0 {
				m.u32(unix.RTAX_MTU, uint32(r.MTU))
			}
			if r.AdvMSS > 0 {
				m.u32(unix.RTAX_ADVMSS, uint32(r.AdvMSS))
			}
		})
	}
	return m
}

// Routes lists the unicast routes of all tables and both families, except those that the kernel keeps for its own addresses (local,
// broadcast, multicast).
func (c *Conn) Routes() ([]Route, error) { return c.RoutesOf(0) }

// RoutesOf lists the routes through one interface, or all when index is 0.
func (c *Conn) RoutesOf(index int) ([]Route, error) {
	var all []Route
	for _, af := range []uint8{unix.AF_INET, unix.AF_INET6} {
		body := message{af, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		if index != 0 {
			body.u32(unix.RTA_OIF, uint32(index))
		}
		start := len(all)
		err := c.dump(fmt.Sprintf("routes of family %d", af), unix.RTM_GETROUTE, body,
			func() { all = all[:start] },
			func(_ uint16, b []byte) {
				if r, ok := readRoute(b); ok && (index == 0 || r.Index == index) {
					all = append(all, r)
				}
			})
		if err != nil && !Unsupported(err) {
			return nil, err
		}
	}
	return all, nil
}

func readRoute(b []byte) (r Route, ok bool) {
	const size = unix.SizeofRtMsg
	if len(b) < size || b[7] != unix.RTN_UNICAST || binary.NativeEndian.Uint32(b[8:])&unix.RTM_F_CLONED != 0 {
		return r, false
	}
	r.Table, r.Protocol = int(b[4]), int(b[5])
	scope := int(b[6])
	r.Scope = &scope
	r.OnLink = binary.NativeEndian.Uint32(b[8:])&unix.RTNH_F_ONLINK != 0
	dst := netip.IPv4Unspecified()
	if b[0] == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	attrs(b[size:], func(typ uint16, v []byte) {
		switch typ {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(v)
		case unix.RTA_GATEWAY:
			r.Gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(v)
		case unix.RTA_OIF:
			r.Index = int(u32(v))
		case unix.RTA_TABLE:
			r.Table = int(u32(v))
		case unix.RTA_PRIORITY:
			r.Priority = int(u32(v))
		case unix.RTA_METRICS:
			attrs(v, func(typ uint16, v []byte) {
				switch typ {
				case unix.RTAX_MTU:
					r.MTU = int(u32(v))
				case unix.RTAX_ADVMSS:
					r.AdvMSS = int(u32(v))
				}
			})
		}
	})
	r.Dst = netip.PrefixFrom(dst, int(b[1]))
	return r, r.Dst.IsValid()
}

// IsDefault tells whether the route is a default route.
func (r Route) IsDefault() bool { return r.Dst.Bits() == 0 }

// InMain tells whether the route is in the main table.
func (r Route) InMain() bool { return r.Table == mainTable || r.Table == 0 }

func append32(m message, v uint32) message { return binary.NativeEndian.AppendUint32(m, v) }
