package dhcp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// servers6 is the group of all servers and relays of a link (RFC 8415 section 7.1).
var servers6 = Place{To: netip.MustParseAddr("ff02::1:2")}

// duid is who asks (RFC 6355): the same for the same client id, wherever the interface is and whatever its MAC.
func (a Ask) duid() dhcpv6.DUID {
	sum := sha256.Sum256([]byte(a.ClientID))
	id := &dhcpv6.DUIDUUID{}
	copy(id.UUID[:], sum[:16])
	return id
}

// message6 is a message of a client. Has is the address that it has or wants, server the DUID of who is asked, nil for any.
func (a Ask) message6(kind dhcpv6.MessageType, began time.Time, has netip.Addr, server []byte) (*dhcpv6.Message, error) {
	m := &dhcpv6.Message{MessageType: kind}
	_, _ = rand.Read(m.TransactionID[:]) // it never fails
	m.AddOption(dhcpv6.OptClientID(a.duid()))
	if len(server) > 0 {
		id, err := dhcpv6.DUIDFromBytes(server)
		if err != nil {
			return nil, err
		}
		m.AddOption(dhcpv6.OptServerID(id))
	}
	if kind != dhcpv6.MessageTypeRelease && kind != dhcpv6.MessageTypeDecline {
		m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList))
	}
	m.AddOption(dhcpv6.OptElapsedTime(min(time.Since(began), 655350*time.Millisecond)))
	ia := &dhcpv6.OptIANA{}
	sum := sha256.Sum256([]byte(a.Key.IfName))
	copy(ia.IaId[:], sum[:4])
	if has.IsValid() {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.IP(has.AsSlice())})
	}
	m.AddOption(ia)
	return m, nil
}

// answer6 is what a server says.
type answer6 struct {
	kind  dhcpv6.MessageType
	lease Lease
	// status is what kept the server from giving an address, and why in its own words.
	status iana.StatusCode
	why    string
}

// read6 reads a datagram of a stranger. False means that it is no answer to the message.
func read6(d wire.Datagram, to *dhcpv6.Message, a Ask) (answer6, bool) {
	m, err := dhcpv6.MessageFromBytes(d.Payload)
	if err != nil || m.TransactionID != to.TransactionID {
		return answer6{}, false
	}
	client, server := m.Options.ClientID(), m.Options.ServerID()
	if client == nil || server == nil || !bytes.Equal(client.ToBytes(), a.duid().ToBytes()) {
		return answer6{}, false // RFC 8415 section 16.3 and 16.10
	}
	switch m.MessageType {
	case dhcpv6.MessageTypeAdvertise, dhcpv6.MessageTypeReply:
	default:
		return answer6{}, false
	}
	said := readReply6(m)
	said.kind = m.MessageType
	said.lease.ServerID, said.lease.Server = server.ToBytes(), d.From
	return said, true
}

// readReply6 reads the address and the options of an advertisement or reply.
func readReply6(m *dhcpv6.Message) (a answer6) {
	note := func(s *dhcpv6.OptStatusCode) {
		if s != nil && s.StatusCode != iana.StatusSuccess && a.status == iana.StatusSuccess {
			a.status, a.why = s.StatusCode, s.StatusMessage
		}
	}
	note(m.Options.Status())
	ia := m.Options.OneIANA()
	if ia == nil {
		if a.status == iana.StatusSuccess {
			a.status = iana.StatusNoAddrsAvail
		}
		return a
	}
	note(ia.Options.Status())
	for _, one := range ia.Options.Addresses() {
		x, ok := netip.AddrFromSlice(one.IPv6Addr.To16())
		if !ok || !x.Is6() || x.Is4In6() || !x.IsGlobalUnicast() || one.ValidLifetime <= 0 {
			note(one.Options.Status())
			continue
		}
		a.lease = Lease{Address: netip.PrefixFrom(x, 128), Renew: ia.T1, Rebind: ia.T2, Expire: one.ValidLifetime}
		a.lease.times()
		break
	}
	if !a.lease.Address.IsValid() {
		if a.status == iana.StatusSuccess {
			a.status = iana.StatusNoAddrsAvail
		}
		return a
	}
	a.status = iana.StatusSuccess
	for _, ip := range m.Options.DNS() {
		if x, ok := netip.AddrFromSlice(ip.To16()); ok && x.IsGlobalUnicast() && len(a.lease.DNS.Nameservers) < 8 {
			a.lease.DNS.Nameservers = append(a.lease.DNS.Nameservers, x.String())
		}
	}
	if labels := m.Options.DomainSearchList(); labels != nil {
		for _, s := range labels.Labels {
			if s = printable(s); s != "" && len(a.lease.DNS.Search) < 16 {
				a.lease.DNS.Search = append(a.lease.DNS.Search, s)
			}
		}
	}
	return a
}
