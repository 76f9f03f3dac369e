package link

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// AddressOptions says how an address differs from the kernel's own idea. IPv6 addresses are used at once, without detection of
// duplicates, unless that is asked for: who hands them out knows that they are unique.
type AddressOptions struct {
	// NoPrefixRoute leaves out the route to the address's subnet.
	NoPrefixRoute bool
	// Detect makes the kernel look for duplicates of an IPv6 address first; it is Tentative meanwhile (RFC 4862 clause 5.4).
	Detect bool
	// Valid is after which time the kernel removes the address by itself, in whole seconds; 0 is never.
	Valid time.Duration
	// Aside keeps the address from being chosen as a source for other hosts: it has the scope of the host (IPv4), or is deprecated from
	// the start (IPv6, RFC 4862 clause 5.5.4).
	Aside bool
}

// AddAddress puts an address on an interface.
func AddAddress(device string, index int, p netip.Prefix, o AddressOptions) Op {
	return putAddress("add address ", device, index, p, o, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
}

// PutAddress is AddAddress, or prolongs the life of the address that is there.
func PutAddress(device string, index int, p netip.Prefix, o AddressOptions) Op {
	return putAddress("put address ", device, index, p, o, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
}

func putAddress(what, device string, index int, p netip.Prefix, o AddressOptions, how uint16) Op {
	flags := uint32(unix.IFA_F_PERMANENT)
	if p.Addr().Is6() && !o.Detect {
		flags |= unix.IFA_F_NODAD
	}
	if o.NoPrefixRoute {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	m := addressMessage(index, p)
	if o.Aside && p.Addr().Is4() {
		m[3] = unix.RT_SCOPE_HOST
	}
	if o.Valid > 0 || o.Aside {
		valid, preferred := forever, forever
		if o.Valid > 0 {
			flags &^= unix.IFA_F_PERMANENT
			valid = uint32(max(1, o.Valid/time.Second))
			preferred = valid
		}
		if o.Aside {
			preferred = 0
		}
		var life message // struct ifa_cacheinfo
		for _, v := range []uint32{preferred, valid, 0, 0} {
			life = append32(life, v)
		}
		m.attr(unix.IFA_CACHEINFO, life)
	}
	m.u32(unix.IFA_FLAGS, flags)
	return Op{what: what + p.String(), device: device, typ: unix.RTM_NEWADDR, flags: how, body: m}
}

// forever is INFINITY_LIFE_TIME of the kernel.
const forever = ^uint32(0)

// DeleteAddress takes an address off an interface.
func DeleteAddress(device string, index int, p netip.Prefix) Op {
	return Op{what: "delete address " + p.String(), device: device, typ: unix.RTM_DELADDR, body: addressMessage(index, p)}
}

// addressMessage is a struct ifaddrmsg with the address.
func addressMessage(index int, p netip.Prefix) message {
	m := message{family(p.Addr()), uint8(p.Bits()), 0, 0}
	m = append32(m, uint32(index))
	ip := p.Addr().AsSlice()
	m.attr(unix.IFA_LOCAL, ip)
	m.attr(unix.IFA_ADDRESS, ip)
	if b := broadcast(p); b.IsValid() {
		m.attr(unix.IFA_BROADCAST, b.AsSlice())
	}
	return m
}

// broadcast is the last address of an IPv4 subnet of more than two.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Address is an address on an interface.
type Address struct {
	Index  int
	Prefix netip.Prefix
	// Tentative and Duplicate are states of IPv6 detection of duplicates (RFC 4862 clause 5.4).
	Tentative, Duplicate bool
}

// Addresses lists the addresses of all interfaces, link-local ones included.
func (c *Conn) Addresses() ([]Address, error) { return c.AddressesOf(0) }

// AddressesOf lists the addresses of one interface, or of all when index is 0.
func (c *Conn) AddressesOf(index int) ([]Address, error) {
	var all []Address
	body := append32(message{0, 0, 0, 0}, uint32(index))
	err := c.dump("addresses", unix.RTM_GETADDR, body, func() { all = all[:0] }, func(_ uint16, b []byte) {
		if a, ok := readAddress(b); ok && (index == 0 || a.Index == index) {
			all = append(all, a)
		}
	})
	return all, err
}

func readAddress(b []byte) (a Address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return a, false
	}
	bits, flags := int(b[1]), uint32(b[2])
	a.Index = int(u32(b[4:]))
	var local, remote netip.Addr
	attrs(b[unix.SizeofIfAddrmsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case unix.IFA_ADDRESS:
			remote, _ = netip.AddrFromSlice(v)
		case unix.IFA_FLAGS:
			flags = u32(v)
		}
	})
	if !local.IsValid() {
		local = remote
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	a.Tentative, a.Duplicate = flags&unix.IFA_F_TENTATIVE != 0, flags&unix.IFA_F_DADFAILED != 0
	return a, a.Prefix.IsValid()
}
