package route

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Protocol marks routes of ours (rtm_protocol).
const Protocol = 84

// Kind is what a route does with a packet.
type Kind uint8

const (
	// Unicast sends it on.
	Unicast Kind = unix.RTN_UNICAST
	// Unreachable refuses it and tells the sender (ICMP).
	Unreachable Kind = unix.RTN_UNREACHABLE
)

// Route is a route of the main table with our Protocol. It is comparable: what was listed equals what was given to Replace.
type Route struct {
	Dst  netip.Prefix
	Kind Kind
	// Device is the index of the interface it leaves by; 0 for Unreachable.
	Device int
	// Gateway is a next hop on Device's segment (taken as on-link), of either family for IPv4; invalid for none.
	Gateway netip.Addr
	// Source is the preferred source address for packets of the node itself, invalid for the kernel's own choice.
	Source netip.Addr
	// Tunnel encapsulates what leaves by an external tunnel device; the zero value does not.
	Tunnel Tunnel
	// MTU in bytes, 0 for the device's.
	MTU int
	// Priority is the metric: 0 is the kernel's own choice for the family.
	Priority int
	// Odd is set in lists for routes with something that Replace never writes: they equal no wanted route.
	Odd bool
}

// String is the route in the words of ip(8).
func (r Route) String() string {
	s := r.Dst.String()
	if r.Kind == Unreachable {
		s = "unreachable " + s
	}
	if r.Tunnel != (Tunnel{}) {
		s += " encap " + r.Tunnel.String()
	}
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	if r.Device != 0 {
		s += fmt.Sprintf(" dev #%d", r.Device)
	}
	if r.Source.IsValid() {
		s += " src " + r.Source.String()
	}
	if r.MTU > 0 {
		s += fmt.Sprintf(" mtu %d", r.MTU)
	}
	if r.Priority != 0 {
		s += fmt.Sprintf(" metric %d", r.Priority)
	}
	return s
}

// Replace makes a route, in place of one to the same destination with the same priority if there is one. The kernel does it in one step: no packet meets a
// state in between.
func (c *Conn) Replace(r Route) error {
	m, attrs := r.message(), r.attributes()
	if err := c.change(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, append([]nl.NetlinkRequestData{m}, attrs...)...); err != nil {
		return fmt.Errorf("replace route %s: %w", r, err)
	}
	return nil
}

// Delete removes a route of our Protocol to r's destination through r's device, with r's priority if that is not 0. One that is gone is fine.
func (c *Conn) Delete(r Route) error {
	m := r.message()
	m.Scope = unix.RT_SCOPE_NOWHERE // any
	attrs := []nl.NetlinkRequestData{dstAttr(r.Dst)}
	if r.Device != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(r.Device))))
	}
	if r.Priority != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(r.Priority))))
	}
	err := c.change(unix.RTM_DELROUTE, 0, append([]nl.NetlinkRequestData{m}, attrs...)...)
	if err != nil && !Missing(err) {
		return fmt.Errorf("delete route %s: %w", r, err)
	}
	return nil
}

func (r Route) message() *nl.RtMsg {
	m := &nl.RtMsg{RtMsg: unix.RtMsg{
		Family:   family(r.Dst.Addr()),
		Dst_len:  uint8(r.Dst.Bits()),
		Table:    unix.RT_TABLE_MAIN,
		Protocol: Protocol,
		Scope:    unix.RT_SCOPE_UNIVERSE,
		Type:     uint8(r.Kind),
	}}
	if r.Kind == Unicast && r.Dst.Addr().Is4() && !r.Gateway.IsValid() {
		m.Scope = unix.RT_SCOPE_LINK
	}
	if r.Gateway.IsValid() {
		m.Flags = unix.RTNH_F_ONLINK
	}
	return m
}

func (r Route) attributes() []nl.NetlinkRequestData {
	attrs := []nl.NetlinkRequestData{dstAttr(r.Dst)}
	if r.Device != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(r.Device))))
	}
	switch {
	case !r.Gateway.IsValid():
	case r.Gateway.Is4() == r.Dst.Addr().Is4():
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_GATEWAY, r.Gateway.AsSlice()))
	default: // struct rtvia
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_VIA, append([]byte{family(r.Gateway), 0}, r.Gateway.AsSlice()...)))
	}
	if r.Source.IsValid() {
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_PREFSRC, r.Source.AsSlice()))
	}
	if r.Priority != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(r.Priority))))
	}
	if r.MTU > 0 {
		metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
		metrics.AddRtAttr(unix.RTAX_MTU, nl.Uint32Attr(uint32(r.MTU)))
		attrs = append(attrs, metrics)
	}
	if r.Tunnel != (Tunnel{}) {
		attrs = append(attrs, r.Tunnel.attributes()...)
	}
	return attrs
}

func dstAttr(p netip.Prefix) *nl.RtAttr {
	return nl.NewRtAttr(unix.RTA_DST, p.Masked().Addr().AsSlice())
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
