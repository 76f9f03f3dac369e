package anycast

import (
	"net/netip"

	"github.com/tsunagu-net/tsunagu/bgp/speaker"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
)

// Speaker is a Teller: it tells BGP's peers. When the process is killed its sessions end, and the routers forget the routes at once.
type Speaker struct {
	*speaker.Speaker
	routes []netip.Prefix
}

// NewSpeaker tells of the addresses by BGP.
func NewSpeaker(s *speaker.Speaker, addresses []netip.Addr) Speaker {
	v := Speaker{Speaker: s}
	for _, a := range addresses {
		v.routes = append(v.routes, carrier.Host(a))
	}
	return v
}

// Tell is of Teller.
func (s Speaker) Tell(int) error { return s.Announce(s.routes...) }

// Untell is of Teller.
func (s Speaker) Untell(int) error { return s.Announce() }
