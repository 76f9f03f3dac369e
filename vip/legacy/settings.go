package legacy

import (
	"fmt"
	"net/netip"
	"time"
)

// Settings are what both have in common with tsunagu-vip.
type Settings struct {
	Addresses []netip.Addr
	Interface string
	APIPort   uint16
	// Peers are the other nodes, if they were named.
	Peers []netip.Addr
	// Weight is more on a node that is preferred; 0 when nothing was said.
	Weight  int
	Preempt bool
	// Notes say what was not taken over, and why.
	Notes []string
	// VRRP is what keepalived's nodes agree on; Router is 0 where there is none. With --mode=vrrp it is taken over, and LeaseNotes mean nothing.
	VRRP       VRRP
	LeaseNotes []string
	// Mode is --mode where the other program had a way of its own to be found: table or bgp; "" is the default.
	Mode string
	// Table and Protocol are of the routing table, with mode table.
	Table, Protocol int
	BGP             BGP
	// Lease is kube-vip's, with --mode=kube-lease.
	Lease Lease
}

// Lease is the object by which kube-vip's nodes agree.
type Lease struct {
	Name            string // namespace/name
	Duration, Retry time.Duration
}

// BGP is which routers are told, with mode bgp; as the flags have it.
type BGP struct {
	AS           string
	Peers        []string // ADDRESS=AS
	PasswordFile string
	Hops         int
	Hold, BFD    time.Duration
}

// VRRP is a virtual router as its nodes agree on it.
type VRRP struct {
	Router, Priority, Version int
	// Interval between advertisements, as text that time.ParseDuration reads.
	Interval string
	Password string
}

func (s *Settings) leaseNote(format string, args ...any) {
	s.LeaseNotes = append(s.LeaseNotes, fmt.Sprintf(format, args...))
}

func (s *Settings) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// add reads an address, with or without a prefix length.
func (s *Settings) add(text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil {
		p, failed := netip.ParsePrefix(text)
		if failed != nil {
			return fmt.Errorf("%q is no IP address", text)
		}
		a = p.Addr()
	}
	s.Addresses = append(s.Addresses, a)
	return nil
}
