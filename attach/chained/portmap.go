package chained

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// PortMap lets the Pod be reached at ports of its node.
type PortMap struct {
	// SNAT hides sources whose answers would not come back through the node: the Pod's neighbours and 127.0.0.1; MasqAll hides all.
	SNAT, MasqAll bool
	// MarkBit is the bit of the mark of packets whose source is hidden.
	MarkBit int
	// V4 and V6 are conditions for packets of the family.
	V4, V6 []nft.Condition
}

// Type is the plugin's name.
func (PortMap) Type() string { return "portmap" }

// markBit is what the plugin uses when it is told nothing. Kubernetes has 14 and 15.
const markBit = 13

func parsePortMap(raw []byte) (Spec, error) {
	f := readFields("portmap", "", raw)
	p := PortMap{SNAT: true, MarkBit: markBit}
	var backend, chain string
	f.into("backend", "a text", &backend)
	if backend != "" && backend != "iptables" && backend != "nftables" {
		f.fail("backend", "want iptables or nftables, have %q", backend)
	}
	if snat := f.flag("snat"); snat != nil {
		p.SNAT = *snat
	}
	if all := f.flag("masqAll"); all != nil {
		p.MasqAll = *all
	}
	bit, given := f.number("markMasqBit", 0, 31)
	if given {
		p.MarkBit = bit
	}
	external := f.into("externalSetMarkChain", "a text", &chain)
	if external && given {
		f.fail("externalSetMarkChain", "cannot be with markMasqBit: who marks packets says which bit it is")
	}
	var elsewhere error
	if external {
		elsewhere = Elsewhere{"portmap", "externalSetMarkChain", "is a chain of iptables"}
	}
	for key, to := range map[string]*[]nft.Condition{"conditionsV4": &p.V4, "conditionsV6": &p.V6} {
		var words []string
		if !f.into(key, "a list of texts", &words) {
			continue
		}
		var known bool
		if *to, known = conditions(words, key == "conditionsV6"); !known {
			elsewhere = Elsewhere{"portmap", key, "has more than sources, destinations and interfaces: " + strings.Join(words, " ")}
		}
	}
	if err := f.end(); err != nil {
		return p, err
	}
	return p, elsewhere
}

// conditions reads the words of iptables(8) for source, destination and interface; false when there are others.
func conditions(words []string, v6 bool) (all []nft.Condition, known bool) {
	for len(words) > 0 {
		var c nft.Condition
		if words[0] == "!" {
			c.Not, words = true, words[1:]
		}
		if len(words) < 2 {
			return nil, false
		}
		flag, value := words[0], words[1]
		words = words[2:]
		switch flag {
		case "-s", "--source", "--src", "-d", "--destination", "--dst":
			p, ok := prefix(value, v6)
			if !ok {
				return nil, false
			}
			if strings.HasPrefix(strings.TrimLeft(flag, "-"), "s") {
				c.Source = p
			} else {
				c.Destination = p
			}
		case "-i", "--in-interface":
			if value == "" || value == "+" || len(value) > 15 || strings.ContainsAny(value, " /\x00") {
				return nil, false
			}
			c.Enters = value
		default:
			return nil, false
		}
		all = append(all, c)
	}
	return all, true
}

// prefix reads an address with or without a length; one of all addresses is no condition, and left to iptables.
func prefix(s string, v6 bool) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return p.Masked(), p.Addr().Is6() == v6 && !p.Addr().Is4In6() && p.Bits() > 0
}

// forwards are the ports in the words of the kernel: for each mapping one of each family that the Pod has an address of. The first
// address of a family is what they lead to.
func (p PortMap) forwards(c Call) (all []nft.Forward) {
	for _, m := range c.Runtime.PortMappings {
		var had []bool
		for _, a := range c.Wired.Addresses {
			ip := a.Prefix.Addr()
			v6 := ip.Is6()
			if slices.Contains(had, v6) || m.HostIP.IsValid() && m.HostIP.Is6() != v6 {
				continue
			}
			had = append(had, v6)
			at := m.HostIP
			if !at.IsValid() {
				at = everywhere(ip).Addr()
			}
			f := nft.Forward{At: netip.AddrPortFrom(at, m.HostPort), Protocol: uint8(m.Protocol), To: netip.AddrPortFrom(ip, m.ContainerPort), Conditions: p.V4}
			if v6 {
				f.Conditions = p.V6
			}
			if p.SNAT {
				f.Mark, f.Near, f.Local, f.All = 1<<p.MarkBit, a.Prefix.Masked(), !v6, p.MasqAll
			}
			all = append(all, f)
		}
	}
	return all
}
