package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Wants says what to take for an interface: one address of each of the named
// sets of pools (PoolNames, looked up by the caller, in that order) and of the
// written-out ones. Each address that the Pod asked for, as an IP or in CIDR
// form, replaces "any" in the pool that it lies in. Fixed are the addresses
// that no pool manages.
func (c Config) Wants(named [][]Pool, requested []string) (wants []Want, fixed []Grant, err error) {
	for _, set := range slices.Concat(named, c.Pools) {
		wants = append(wants, newWant(set))
	}
	if c.Type == TypeDHCP {
		return nil, nil, nil // the server decides
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
	anys := len(wants)
	for _, text := range requested {
		a, err := requestedAddr(text)
		if err != nil {
			return nil, nil, err
		}
		if wants, err = ask(wants, anys, a); err != nil {
			return nil, nil, err
		}
	}
	if err := c.oneOfEach(wants, anys); err != nil {
		return nil, nil, err
	}
	for i := range wants {
		for p := range wants[i].pools() {
			p.Routes = append(slices.Clip(p.Routes), sameFamily(c.Routes, p.Prefix.Addr(), netip.Addr{})...)
		}
	}
	return wants, fixed, nil
}

// newWant is an address of any pool of a set.
func newWant(set []Pool) (w Want) {
	for i, p := range set {
		if i == 0 {
			w.Pool = p.parsed()
			continue
		}
		w.Alternatives = append(w.Alternatives, p.parsed())
	}
	return w
}

// ask puts a requested address into a pool that has it and gives any address
// so far. A second address of one pool is one more want. An address that no
// pool has is refused by the pool that comes nearest.
func ask(wants []Want, anys int, a netip.Addr) ([]Want, error) {
	has, near := -1, 0
	var pool *Pool
	for i, w := range wants {
		if w.Static == a {
			return wants, nil
		}
		p := w.that(a)
		if p.Prefix.Contains(a) {
			near = i
		}
		if !p.Contains(a) {
			continue
		}
		has, pool = i, p
		if i < anys && !w.Static.IsValid() {
			wants[i] = Want{Pool: *p, Static: a}
			return wants, nil
		}
	}
	switch {
	case has >= 0:
		return append(wants, Want{Pool: *pool, Static: a}), nil
	case len(wants) == 0:
		return nil, &Refusal{Reason: OutOfRange, Message: "address " + a.String() + " was asked for on a network without a pool", Fix: "ask for no address, or give the network a pool"}
	}
	return nil, wants[near].that(a).Refuse(a)
}

// manages finds the pool that a fixed address lies in, so that it is reserved
// there: whereabouts' "addresses" inside a managed range.
func (c Config) manages(wants []Want, s StaticAddress) *Want {
	for _, w := range wants {
		if p := w.that(s.Prefix.Addr()); p.Contains(s.Prefix.Addr()) {
			return &Want{Pool: *p, Static: s.Prefix.Addr()}
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
		if r.Dst.Addr().BitLen() == a.BitLen() {
			out = append(out, r.Via(gateway))
		}
	}
	return out
}
