package vrrp

import (
	"net/netip"
	"time"
)

// Status is how a node sees a virtual router.
type Status struct {
	Self     netip.Addr
	Owns     bool
	Priority uint8
	Ready    bool
	// Interval is that of the owner's advertisements.
	Interval time.Duration
	Heard    []Heard
}

// Heard is what another node advertised last. Backups say nothing, so that most
// of them are not known.
type Heard struct {
	Node     netip.Addr
	Priority uint8
	Silent   time.Duration
}

// Owner is who has the addresses as far as it is known.
func (s Status) Owner() netip.Addr {
	if s.Owns {
		return s.Self
	}
	for _, h := range s.Heard {
		if h.Priority != Leaving && h.Silent < 4*s.Interval {
			return h.Node
		}
	}
	return netip.Addr{}
}
