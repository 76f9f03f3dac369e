package route

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kernelPriority6 is the metric of an IPv6 route that was made without one.
const kernelPriority6 = 1024

// nexthopID is RTA_NH_ID.
const nexthopID = 30

// List returns the routes of our Protocol in the main table, of both families: all of them, or an error.
func (c *Conn) List() ([]Route, error) {
	var all []Route
	for _, af := range []uint8{unix.AF_INET, unix.AF_INET6} {
		m := &nl.RtMsg{RtMsg: unix.RtMsg{Family: af, Table: unix.RT_TABLE_MAIN, Protocol: Protocol}}
		messages, err := c.list(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.NLM_F_DUMP, m)
		if NoFamily(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list routes of family %d: %w", af, err)
		}
		for _, b := range messages {
			if r, h, ok := read(b); ok && h.Table == unix.RT_TABLE_MAIN && h.Protocol == Protocol && h.Flags&unix.RTM_F_CLONED == 0 {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// read reads an RTM_NEWROUTE message without its netlink header.
func read(b []byte) (r Route, h unix.RtMsg, ok bool) {
	if len(b) < unix.SizeofRtMsg {
		return r, h, false
	}
	h = nl.DeserializeRtMsg(b).RtMsg
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofRtMsg:])
	if err != nil {
		return r, h, false
	}
	dst := netip.IPv4Unspecified()
	if h.Family == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	r.Kind = Kind(h.Type)
	var encapKind uint16
	var encap []byte
	for _, a := range attrs {
		v := a.Value
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(v)
		case unix.RTA_OIF:
			r.Device = int(nl.NativeEndian().Uint32(v))
		case unix.RTA_GATEWAY:
			r.Gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_VIA:
			if len(v) > 2 {
				r.Gateway, _ = netip.AddrFromSlice(v[2:])
			}
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(v)
		case unix.RTA_ENCAP_TYPE:
			encapKind = nl.NativeEndian().Uint16(v)
		case unix.RTA_ENCAP:
			encap = v
		case unix.RTA_METRICS:
			r.MTU = readMTU(v)
		case unix.RTA_PRIORITY:
			if p := int(nl.NativeEndian().Uint32(v)); h.Family == unix.AF_INET || p != kernelPriority6 {
				r.Priority = p
			}
		case unix.RTA_MULTIPATH, nexthopID:
			r.Odd = true
		}
	}
	if encapKind != 0 {
		var odd bool
		r.Tunnel, odd = readTunnel(encapKind, encap)
		r.Odd = r.Odd || odd
	}
	if r.Kind == Unreachable {
		r.Device = 0 // IPv6 lists the loopback interface
	}
	r.Dst = netip.PrefixFrom(dst, int(h.Dst_len))
	return r, h, r.Dst.IsValid()
}

func readMTU(b []byte) int {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return 0
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.RTAX_MTU && len(a.Value) == 4 {
			return int(nl.NativeEndian().Uint32(a.Value))
		}
	}
	return 0
}
