package dhcp

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Lease is what a server gave. It is stored as JSON.
type Lease struct {
	// Address with the length of its subnet.
	Address netip.Prefix `json:"address"`
	// Gateway, Routes, DNS and MTU come with it; they are invalid, empty and 0 when the server says nothing. A gateway beside routes
	// is not given (RFC 3442).
	Gateway netip.Addr   `json:"gateway,omitzero"`
	Routes  []ipam.Route `json:"routes,omitempty"`
	DNS     ipam.DNS     `json:"dns"`
	MTU     int          `json:"mtu,omitempty"`
	// Server is who gave it: its address, for IPv6 its DUID. Via is the hardware address that it is reached by.
	Server   netip.Addr       `json:"server,omitzero"`
	ServerID []byte           `json:"serverID,omitempty"`
	Via      net.HardwareAddr `json:"via,omitempty"`
	// Renew, Rebind and Expire are T1, T2 and the time of the lease, from when it was asked for.
	Renew  time.Duration `json:"renew"`
	Rebind time.Duration `json:"rebind"`
	Expire time.Duration `json:"expire"`
	// asked is when the message was sent that it is the answer to.
	asked time.Time
}

// Forever is the time of a lease without end.
const Forever = 1<<63 - 1

// same tells whether nothing changes for the interface.
func (l Lease) same(o Lease) bool {
	return l.Address == o.Address && l.Gateway == o.Gateway && l.MTU == o.MTU && slices.Equal(l.Routes, o.Routes) &&
		slices.Equal(l.DNS.Nameservers, o.DNS.Nameservers) && slices.Equal(l.DNS.Search, o.DNS.Search) && l.DNS.Domain == o.DNS.Domain
}

// times puts T1 and T2 in order, and fills in what the server left out (RFC 2131 clause 4.4.5). Clients that know no better ask for one
// hour, so that is what a missing time means.
func (l *Lease) times() {
	const most = 1<<32 - 1
	if l.Expire == 0 {
		l.Expire = time.Hour
	}
	if l.Expire >= most*time.Second {
		l.Renew, l.Rebind, l.Expire = Forever, Forever, Forever
		return
	}
	if l.Rebind <= 0 || l.Rebind >= l.Expire {
		l.Rebind = l.Expire / 8 * 7
	}
	if l.Renew <= 0 || l.Renew >= l.Rebind {
		l.Renew = min(l.Expire/2, l.Rebind/8*7)
	}
}
