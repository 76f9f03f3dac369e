package segment

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
)

// Place is where the addresses belong on a node.
type Place struct {
	Interface string
	// Own is the node's own address there, of the family of the first address.
	Own netip.Addr
	// Outside are addresses that no subnet of the interface has.
	Outside []netip.Addr
}

// Locate finds the interface on the segment of the addresses: the named one, or
// the one that has the first address in a subnet of its own.
func Locate(device string, addresses []netip.Addr) (Place, error) {
	c, err := link.DialHere()
	if err != nil {
		return Place{}, err
	}
	defer c.Close()
	links, err := c.Links()
	if err != nil {
		return Place{}, err
	}
	have, err := c.Addresses()
	if err != nil {
		return Place{}, err
	}
	subnets := map[string][]netip.Prefix{}
	var names []string
	for _, l := range links {
		if l.Loopback || l.Name == carrier.Device {
			continue
		}
		names = append(names, l.Name)
		for _, a := range have {
			if a.Index == l.Index && !slices.Contains(addresses, a.Prefix.Addr()) {
				subnets[l.Name] = append(subnets[l.Name], a.Prefix)
			}
		}
	}
	return locate(device, addresses, names, subnets)
}

func locate(device string, addresses []netip.Addr, names []string, subnets map[string][]netip.Prefix) (Place, error) {
	if device != "" && !slices.Contains(names, device) {
		return Place{}, fmt.Errorf("interface %q is not on this node, which has %s", device, strings.Join(names, ", "))
	}
	if device == "" {
		for _, n := range names {
			if within(subnets[n], addresses[0]).IsValid() {
				device = n
				break
			}
		}
		if device == "" {
			return Place{}, fmt.Errorf("no interface of this node has %s in its subnet: name the interface (--interface), or choose another address", addresses[0])
		}
	}
	p := Place{Interface: device, Own: within(subnets[device], addresses[0])}
	for _, s := range subnets[device] {
		a := s.Addr()
		if !p.Own.IsValid() && a.Is4() == addresses[0].Is4() && a.IsGlobalUnicast() {
			p.Own = a
		}
	}
	for _, a := range addresses {
		if !within(subnets[device], a).IsValid() {
			p.Outside = append(p.Outside, a)
		}
	}
	return p, nil
}

// within is the node's address in the subnet that has a.
func within(subnets []netip.Prefix, a netip.Addr) netip.Addr {
	for _, s := range subnets {
		if !s.IsSingleIP() && s.Contains(a) && !s.Addr().IsLinkLocalUnicast() {
			return s.Addr()
		}
	}
	return netip.Addr{}
}
