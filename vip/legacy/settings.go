package legacy

import (
	"fmt"
	"net/netip"
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
