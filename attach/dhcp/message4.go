package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// message4 is a message of a client (RFC 2131 table 5). Of holds the address that the client has, wanted the one it asks for.
func (a Ask) message4(kind dhcpv4.MessageType, xid dhcpv4.TransactionID, of, wanted, server netip.Addr) []byte {
	m := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, HWType: iana.HWTypeEthernet, ClientHWAddr: a.MAC, TransactionID: xid,
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero, Options: dhcpv4.Options{}}
	m.Options[dhcpv4.OptionDHCPMessageType.Code()] = []byte{byte(kind)}
	m.Options[dhcpv4.OptionClientIdentifier.Code()] = append([]byte{0}, a.ClientID...)
	if a.Raw {
		m.Options[dhcpv4.OptionClientIdentifier.Code()] = []byte(a.ClientID)
	}
	if of.IsValid() {
		m.ClientIPAddr = of.AsSlice()
	}
	if wanted.IsValid() {
		m.Options[dhcpv4.OptionRequestedIPAddress.Code()] = wanted.AsSlice()
	}
	if server.IsValid() {
		m.Options[dhcpv4.OptionServerIdentifier.Code()] = server.AsSlice()
	}
	if kind == dhcpv4.MessageTypeDiscover || kind == dhcpv4.MessageTypeRequest {
		m.Options[dhcpv4.OptionMaximumDHCPMessageSize.Code()] = binary.BigEndian.AppendUint16(nil, 1500)
		if len(a.Request) > 0 {
			m.Options[dhcpv4.OptionParameterRequestList.Code()] = a.Request
		}
		for _, o := range a.Options {
			m.Options[o.Code] = o.Value
		}
	}
	return m.ToBytes()
}

// answer4 is what a server says.
type answer4 struct {
	kind  dhcpv4.MessageType
	lease Lease
	// why is the server's own word (option 56).
	why string
}

// read4 reads a datagram of a stranger. False means that it is no answer to the message xid of the interface with the MAC.
func read4(d wire.Datagram, xid dhcpv4.TransactionID, mac net.HardwareAddr) (answer4, bool) {
	if len(d.Payload) < 241 { // 236 bytes, the magic cookie, the end
		return answer4{}, false
	}
	m, err := dhcpv4.FromBytes(d.Payload)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != xid || m.ClientHWAddr.String() != mac.String() {
		return answer4{}, false
	}
	a := answer4{kind: m.MessageType(), why: m.Message()}
	server := address4(m.ServerIdentifier())
	if !server.IsValid() {
		server = d.From
	}
	switch a.kind {
	case dhcpv4.MessageTypeNak:
		a.lease.Server = server
		return a, true
	case dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck:
		var ok bool
		a.lease, ok = readLease4(m)
		a.lease.Server, a.lease.Via = server, d.MAC
		return a, ok
	}
	return answer4{}, false
}

// readLease4 reads the address and the options of an offer or acknowledgement. An address that no host can have is no lease; options
// that make no sense are as if they were missing.
func readLease4(m *dhcpv4.DHCPv4) (l Lease, ok bool) {
	address := address4(m.YourIPAddr)
	if !address.IsValid() {
		return l, false
	}
	bits := 0
	if mask := m.SubnetMask(); len(mask) == 4 {
		bits, _ = mask.Size()
	}
	if bits == 0 {
		bits, _ = net.IP(address.AsSlice()).DefaultMask().Size()
	}
	if bits == 0 {
		return l, false
	}
	l.Address = netip.PrefixFrom(address, bits)
	l.Expire = m.IPAddressLeaseTime(0)
	l.Renew, l.Rebind = m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0)
	l.times()
	for _, r := range m.ClasslessStaticRoute() {
		if len(l.Routes) == mostRoutes {
			break
		}
		if route, ok := route4(r.Dest, r.Router); ok {
			l.Routes = append(l.Routes, route)
		}
	}
	if len(l.Routes) == 0 { // RFC 3442: who gets option 121 ignores 3 and 33
		l.olderRoutes(m)
	}
	for _, ip := range m.DNS() {
		if a := address4(ip); a.IsValid() && len(l.DNS.Nameservers) < 8 {
			l.DNS.Nameservers = append(l.DNS.Nameservers, a.String())
		}
	}
	l.DNS.Domain = printable(m.DomainName())
	if labels := m.DomainSearch(); labels != nil {
		for _, s := range labels.Labels {
			if s = printable(s); s != "" && len(l.DNS.Search) < 16 {
				l.DNS.Search = append(l.DNS.Search, s)
			}
		}
	}
	if raw := m.Options.Get(dhcpv4.OptionInterfaceMTU); len(raw) == 2 {
		if mtu := int(binary.BigEndian.Uint16(raw)); mtu >= leastMTU {
			l.MTU = mtu
		}
	}
	return l, true
}

const (
	// mostRoutes of a server are believed.
	mostRoutes = 128
	// leastMTU is what every host takes (RFC 791); a server that says less is mistaken.
	leastMTU = 576
)

// olderRoutes reads the routers (option 3) and the static routes (option 33).
func (l *Lease) olderRoutes(m *dhcpv4.DHCPv4) {
	for _, ip := range m.Router() {
		if a := address4(ip); a.IsValid() {
			l.Gateway = a
			break
		}
	}
	for raw := m.Options.Get(dhcpv4.OptionStaticRoutingTable); len(raw) >= 8 && len(l.Routes) < mostRoutes; raw = raw[8:] {
		dst, gw := netip.AddrFrom4([4]byte(raw[:4])), address4(raw[4:8])
		if gw.IsValid() && !dst.IsUnspecified() {
			l.Routes = append(l.Routes, ipam.Route{Dst: netip.PrefixFrom(dst, 32), Gateway: gw})
		}
	}
}

// route4 reads a route; a router of 0.0.0.0 means that the destination is on the link.
func route4(dst *net.IPNet, gw net.IP) (ipam.Route, bool) {
	if dst == nil {
		return ipam.Route{}, false
	}
	a, ok := netip.AddrFromSlice(dst.IP.To4())
	bits, size := dst.Mask.Size()
	if !ok || size != 32 {
		return ipam.Route{}, false
	}
	r := ipam.Route{Dst: netip.PrefixFrom(a, bits).Masked()}
	if !gw.IsUnspecified() {
		if r.Gateway = address4(gw); !r.Gateway.IsValid() {
			return r, false
		}
	}
	return r, true
}

// address4 is an address that a host can have, or none.
func address4(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.As4()[0] >= 240 || a.As4()[0] == 0 {
		return netip.Addr{}
	}
	return a
}

// printable is a text without what would break a line.
func printable(s string) string {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return s
}
