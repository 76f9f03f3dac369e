package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Tunnel is the outside of a packet that leaves by an external VXLAN device.
type Tunnel struct {
	// VNI is the network identifier, 24 bits.
	VNI uint32
	// Local and Remote are the outer addresses, of one family, which need not be the one of the inner packet.
	Local, Remote netip.Addr
}

// String is the tunnel in the words of ip(8).
func (t Tunnel) String() string {
	name := "ip"
	if t.Remote.Is6() {
		name = "ip6"
	}
	return fmt.Sprintf("%s id %d src %s dst %s", name, t.VNI, t.Local, t.Remote)
}

// Kinds and attributes of lightweight tunnels (linux/lwtunnel.h). The two families number theirs alike.
const (
	encapIP  = 2 // LWTUNNEL_ENCAP_IP
	encapIP6 = 4 // LWTUNNEL_ENCAP_IP6

	tunnelID    = 1 // LWTUNNEL_IP_ID, big endian
	tunnelDst   = 2
	tunnelSrc   = 3
	tunnelTTL   = 4
	tunnelTOS   = 5
	tunnelFlags = 6 // big endian

	// flagChecksum is IP_TUNNEL_CSUM_BIT: the outer UDP checksum is computed. Receivers drop IPv6 without one (RFC 6935 makes an
	// exception that the device would have to be told about); over IPv4 it is optional and left out (RFC 7348 clause 5).
	flagChecksum = 0x0001
)

func (t Tunnel) flags() uint16 {
	if t.Remote.Is6() {
		return flagChecksum
	}
	return 0
}

func (t Tunnel) attributes() []nl.NetlinkRequestData {
	kind := uint16(encapIP)
	if t.Remote.Is6() {
		kind = encapIP6
	}
	encap := nl.NewRtAttr(unix.RTA_ENCAP|unix.NLA_F_NESTED, nil)
	encap.AddRtAttr(tunnelID, binary.BigEndian.AppendUint64(nil, uint64(t.VNI)))
	encap.AddRtAttr(tunnelDst, t.Remote.AsSlice())
	if t.Local.IsValid() {
		encap.AddRtAttr(tunnelSrc, t.Local.AsSlice())
	}
	if f := t.flags(); f != 0 {
		encap.AddRtAttr(tunnelFlags, binary.BigEndian.AppendUint16(nil, f))
	}
	return []nl.NetlinkRequestData{nl.NewRtAttr(unix.RTA_ENCAP_TYPE, nl.Uint16Attr(kind)), encap}
}

// readTunnel reads RTA_ENCAP. It is odd when it has something that we never write.
func readTunnel(kind uint16, b []byte) (t Tunnel, odd bool) {
	if kind != encapIP && kind != encapIP6 {
		return t, true
	}
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return t, true
	}
	var flags uint16
	for _, a := range attrs {
		switch v := a.Value; {
		case a.Attr.Type == tunnelID && len(v) == 8:
			t.VNI = uint32(binary.BigEndian.Uint64(v))
		case a.Attr.Type == tunnelDst:
			t.Remote, _ = netip.AddrFromSlice(v)
		case a.Attr.Type == tunnelSrc:
			// An unset source is listed as the unspecified address.
			if src, ok := netip.AddrFromSlice(v); ok && !src.IsUnspecified() {
				t.Local = src
			}
		case (a.Attr.Type == tunnelTTL || a.Attr.Type == tunnelTOS) && len(v) == 1:
			odd = odd || v[0] != 0
		case a.Attr.Type == tunnelFlags && len(v) == 2:
			flags = binary.BigEndian.Uint16(v)
		}
	}
	return t, odd || flags != t.flags()
}
