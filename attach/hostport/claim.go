package hostport

import (
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// claim is a Mapping in one family: where it is, and what it leads to.
type claim struct {
	at       netip.AddrPort // an unspecified address is all of the family
	protocol Protocol
	to       netip.AddrPort
	mapping  Mapping
}

// key is what claims must share to be in each other's way.
type key struct {
	v6       bool
	protocol Protocol
	port     uint16
}

func (c claim) key() key { return key{c.at.Addr().Is6(), c.protocol, c.at.Port()} }

// meets tells whether a packet could be for both.
func (c claim) meets(o claim) bool {
	return c.key() == o.key() && (c.at.Addr() == o.at.Addr() || c.at.Addr().IsUnspecified() || o.at.Addr().IsUnspecified())
}

// claims are those of a sandbox; idle are mappings that lead nowhere, because the Pod has no address of their family.
func (s Sandbox) claims() (all []claim, idle []Mapping, err error) {
	for _, m := range s.Mappings {
		m.HostIP = m.HostIP.Unmap().WithZone("")
		if m.HostPort == 0 || m.ContainerPort == 0 {
			return nil, nil, fmt.Errorf("host port %s to port %d of Pod %s: 0 is no port", m, m.ContainerPort, s.Name)
		}
		n := len(all)
		for _, v6 := range []bool{false, true} {
			pod, ok := s.address(v6)
			if !ok || m.HostIP.IsValid() && m.HostIP.Is6() != v6 {
				continue
			}
			at := m.HostIP
			if !at.IsValid() {
				at = netip.IPv4Unspecified()
				if v6 {
					at = netip.IPv6Unspecified()
				}
			}
			c := claim{netip.AddrPortFrom(at, m.HostPort), m.Protocol, netip.AddrPortFrom(pod, m.ContainerPort), m}
			for _, o := range all {
				if o.at == c.at && o.protocol == c.protocol && o.to != c.to {
					return nil, nil, fmt.Errorf("host port %s of Pod %s leads to its ports %d and %d: it can lead to one", m, s.Name, o.to.Port(), c.to.Port())
				}
			}
			all = append(all, c)
		}
		if len(all) == n {
			idle = append(idle, m)
		}
	}
	return all, idle, nil
}

// contents are the elements of the nft table that a sandbox with these claims has.
func (s Sandbox) contents(claims []claim) nft.Contents {
	c := nft.Contents{}
	for _, one := range claims {
		c.HostPort(one.at, uint8(one.protocol), one.to)
		c.Hairpin(one.to.Addr())
	}
	for _, p := range s.Masquerade {
		c.Hidden(netip.PrefixFrom(p.Addr().Unmap().WithZone(""), p.Bits()))
	}
	return c
}
