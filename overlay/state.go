package overlay

import (
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// linkGroup marks links of ours.
const linkGroup = link.Group

// state is how the node is.
type state struct {
	links     []link.Link
	addresses []link.Address
	// defaults are the devices of default routes, by v6; looked up only when needed.
	defaults map[bool]int

	device      route.Device
	deviceFound bool
	// routes are the overlay's own; those by Device have the index tunnelDevice.
	routes  []route.Route
	sysctls map[string]string
	// interfaces6 are those that have IPv6 sysctls.
	interfaces6 []string
}

func (s *state) link(index int) (link.Link, bool) {
	for _, l := range s.links {
		if l.Index == index {
			return l, true
		}
	}
	return link.Link{}, false
}

// linkWith is the interface that has an address.
func (s *state) linkWith(a netip.Addr) (link.Link, bool) {
	for _, have := range s.addresses {
		if have.Prefix.Addr() == a {
			l, ok := s.link(have.Index)
			if ok && l.Loopback { // the node is known by an address that it announces, and reached by another interface
				return s.defaultLink(a.Is6())
			}
			if ok && l.Name != Device {
				return l, true
			}
		}
	}
	return link.Link{}, false
}

// defaultLink is the interface of the default route.
func (s *state) defaultLink(v6 bool) (link.Link, bool) {
	index, ok := s.defaults[v6]
	if !ok {
		return link.Link{}, false
	}
	return s.link(index)
}

// segmentOf is the interface on whose segment an address is, by the longest prefix of its addresses.
func (s *state) segmentOf(a netip.Addr) (best link.Link, ok bool) {
	bits := 0
	for _, have := range s.addresses {
		p := have.Prefix
		if p.Bits() <= bits || !p.Contains(a) || p.Addr() == a || p.IsSingleIP() {
			continue
		}
		l, found := s.link(have.Index)
		if found && l.Up && !l.Loopback && l.Name != Device && !ofPod(l.Name) {
			best, ok, bits = l, true, p.Bits()
		}
	}
	return best, ok
}

// onDevice are the addresses of the tunnel device, link-local ones aside.
func (s *state) onDevice() (all []netip.Prefix) {
	for _, a := range s.addresses {
		if s.deviceFound && a.Index == s.device.Index && !a.Prefix.Addr().IsLinkLocalUnicast() {
			all = append(all, a.Prefix)
		}
	}
	return all
}

// ofPod tells whether an interface is the node's end of a Pod's.
func ofPod(name string) bool { return len(name) > 3 && name[:3] == "tsu" && name != Device }

// own tells whether a route of our protocol is the overlay's; others are of Pods on this node.
func own(r route.Route, device int) bool {
	return r.Kind == route.Unreachable || r.Tunnel != (route.Tunnel{}) || r.Gateway.IsValid() || device != 0 && r.Device == device
}
