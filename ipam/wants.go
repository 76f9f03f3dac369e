package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// Wants says what to take for an interface: one address of each of the named
// pools (PoolNames, looked up by the caller, in that order) and of the
// written-out ones. Each address that the Pod asked for, as an IP or in CIDR
// form, replaces "any" in the pool that it lies in. Fixed are the addresses
// that no pool manages.
func (c Config) Wants(named []Pool, requested []string) (wants []Want, fixed []Grant, err error) {
	pools := make([]Pool, 0, len(named)+len(c.Pools))
	pools = append(append(pools, named...), c.Pools...)
	for _, p := range pools {
		wants = append(wants, Want{Pool: p.parsed()})
	}
	if c.Type == TypeStatic {
		static, err := c.replaced(requested)
		return nil, static, err
	}
	for _, s := range c.Static {
		if w := c.manages(wants, s); w != nil {
			wants = append(wants, *w)
			continue
		}
		fixed = append(fixed, Grant{Address: s.Prefix, Gateway: s.Gateway, Routes: sameFamily(c.Routes, s.Prefix.Addr(), s.Gateway)})
	}
	anys := len(pools)
	for _, text := range requested {
		a, err := requestedAddr(text)
		if err != nil {
			return nil, nil, err
		}
		if wants, err = ask(wants, anys, a); err != nil {
			return nil, nil, err
		}
	}
	for i := range wants {
		wants[i].Pool.Routes = append(wants[i].Pool.Routes[:len(wants[i].Pool.Routes):len(wants[i].Pool.Routes)],
			sameFamily(c.Routes, wants[i].Pool.Prefix.Addr(), netip.Addr{})...)
	}
	return wants, fixed, nil
}

// ask puts a requested address into a pool that has it and gives any address
// so far. A second address of one pool is one more want. An address that no
// pool has is refused by the pool that comes nearest.
func ask(wants []Want, anys int, a netip.Addr) ([]Want, error) {
	has, near := -1, 0
	for i, w := range wants {
		switch {
		case w.Static == a:
			return wants, nil
		case w.Pool.Prefix.Contains(a):
			near = i
		}
		if !w.Pool.Contains(a) {
			continue
		}
		has = i
		if i < anys && !w.Static.IsValid() {
			wants[i].Static = a
			return wants, nil
		}
	}
	switch {
	case has >= 0:
		return append(wants, Want{Pool: wants[has].Pool, Static: a}), nil
	case len(wants) == 0:
		return nil, &Refusal{Reason: OutOfRange, Message: "address " + a.String() + " was asked for on a network without a pool", Fix: "ask for no address, or give the network a pool"}
	}
	return nil, wants[near].Pool.Refuse(a)
}

// manages finds the pool that a fixed address lies in, so that it is reserved
// there: whereabouts' "addresses" inside a managed range.
func (c Config) manages(wants []Want, s StaticAddress) *Want {
	for _, w := range wants {
		if w.Pool.Contains(s.Prefix.Addr()) {
			return &Want{Pool: w.Pool, Static: s.Prefix.Addr()}
		}
	}
	return nil
}

// replaced are the addresses of type static: requested ones replace those of
// the configuration, and must say their length unless the configuration has a
// subnet that they lie in.
func (c Config) replaced(requested []string) ([]Grant, error) {
	addresses := c.Static
	if len(requested) > 0 {
		addresses = nil
	}
	for _, text := range requested {
		s, err := c.fixed(text)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, s)
	}
	var grants []Grant
	for _, s := range addresses {
		grants = append(grants, Grant{Address: s.Prefix, Gateway: s.Gateway, Routes: sameFamily(c.Routes, s.Prefix.Addr(), s.Gateway)})
	}
	if len(grants) == 0 {
		return nil, bad("ipam.addresses is empty and the Pod asks for no address", `add "addresses", or "ips" to the Pod's network selection`)
	}
	return grants, nil
}

func (c Config) fixed(text string) (StaticAddress, error) {
	a, err := requestedAddr(text)
	if err != nil {
		return StaticAddress{}, err
	}
	s := StaticAddress{}
	if strings.Contains(text, "/") {
		s.Prefix, _ = parsePrefix(text)
	}
	for _, known := range c.Static {
		if known.Prefix.Contains(a) {
			if !s.Prefix.IsValid() {
				s.Prefix = netip.PrefixFrom(a, known.Prefix.Bits())
			}
			s.Gateway = known.Gateway
		}
	}
	if !s.Prefix.IsValid() {
		return s, bad(fmt.Sprintf("ips %q: has no prefix length, and ipam type static has no subnet to take it from", text), "write it as "+text+"/24 or the like")
	}
	return s, nil
}

func requestedAddr(text string) (netip.Addr, error) {
	word, _, _ := strings.Cut(text, "/")
	a, err := parseAddr(word)
	if err == nil && strings.Contains(text, "/") {
		_, err = parsePrefix(text)
	}
	if err != nil {
		return a, bad(fmt.Sprintf("ips %q: %v", text, err), "ask for an address such as 192.168.10.7")
	}
	return a, nil
}

// sameFamily are the routes that fit an address; those without a next hop get
// the gateway.
func sameFamily(routes []Route, a, gateway netip.Addr) []Route {
	var out []Route
	for _, r := range routes {
		if r.Dst.Addr().BitLen() != a.BitLen() {
			continue
		}
		if !r.Gateway.IsValid() {
			r.Gateway = gateway
		}
		out = append(out, r)
	}
	return out
}
