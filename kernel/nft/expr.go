package nft

import (
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The words that rules are made of. Each uses registers from the first on; a lookup takes its key where the word before it left it.

// Registers of 4 bytes (NFT_REG32_00…). The first one has the same place as the first of 16 bytes, which older kernels and nft print.
const (
	reg1 = unix.NFT_REG_1
	reg4 = unix.NFT_REG32_00 // + n is n·4 bytes behind reg1
)

func join(parts ...[]expr.Any) (all []expr.Any) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func protocolNumber(v6 bool) byte {
	if v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// size is that of an address.
func size(v6 bool) uint32 {
	if v6 {
		return 16
	}
	return 4
}

// Offsets of the addresses in the IPv4 and IPv6 header (RFC 791 clause 3.1, RFC 8200 clause 3).
func sourceOffset(v6 bool) uint32 {
	if v6 {
		return 8
	}
	return 12
}

func destinationOffset(v6 bool) uint32 { return sourceOffset(v6) + size(v6) }

func equal(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: data}
}

// family is "meta nfproto ipv4".
func family(v6 bool) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg1}, equal(protocolNumber(v6))}
}

func header(register, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

// sourceAddress is "ip saddr" for a lookup.
func sourceAddress(v6 bool) []expr.Any {
	return []expr.Any{header(reg1, sourceOffset(v6), size(v6))}
}

// destinationAddress is "ip daddr" for a lookup.
func destinationAddress(v6 bool) []expr.Any {
	return []expr.Any{header(reg1, destinationOffset(v6), size(v6))}
}

// pair is "ip saddr . ip daddr" for a lookup.
func pair(v6 bool) []expr.Any {
	return []expr.Any{header(reg1, sourceOffset(v6), size(v6)), header(reg4+size(v6)/4, destinationOffset(v6), size(v6))}
}

func in(s Set) []expr.Any { return []expr.Any{&expr.Lookup{SourceRegister: reg1, SetName: string(s)}} }

func notIn(s Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: reg1, SetName: string(s), Invert: true}}
}

// source and destination are "ip saddr 127.0.0.0/8", or != when not wanted.
func source(p netip.Prefix, wanted bool) []expr.Any {
	return within(p, sourceOffset(p.Addr().Is6()), wanted)
}

func destination(p netip.Prefix, wanted bool) []expr.Any {
	return within(p, destinationOffset(p.Addr().Is6()), wanted)
}

func within(p netip.Prefix, offset uint32, wanted bool) []expr.Any {
	n := p.Bits() / 8
	if p.Bits()%8 != 0 {
		n = p.Addr().BitLen() / 8
	}
	exprs := []expr.Any{header(reg1, offset, uint32(n))}
	if p.Bits()%8 != 0 { // with a mask over the whole address, nft prints it as a prefix
		mask := make([]byte, n)
		for i := range p.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		exprs = append(exprs, &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: uint32(n), Mask: mask, Xor: make([]byte, n)})
	}
	op := expr.CmpOpEq
	if !wanted {
		op = expr.CmpOpNeq
	}
	return append(exprs, &expr.Cmp{Op: op, Register: reg1, Data: p.Masked().Addr().AsSlice()[:n]})
}

// udpTo is "udp dport".
func udpTo(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1}, equal(unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, equal(byte(port>>8), byte(port)),
	}
}

// entersBy is `iifname "tsu*"`, leavesBy is oifname.
func entersBy(prefix string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, equal([]byte(prefix)...)}
}

func leavesBy(prefix string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1}, equal([]byte(prefix)...)}
}

// toLocal is "fib daddr type local": an address of the node.
func toLocal() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg1, ResultADDRTYPE: true, FlagDADDR: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}
}

// translated is "ct status dnat".
func translated() []expr.Any {
	const ipsDstNAT = 1 << 5 // enum ip_conntrack_status
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: reg1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(ipsDstNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
	}
}

// lookupPort is "dnat ip to [ip daddr .] meta l4proto . th dport map @…".
func lookupPort(v6, withAddress bool) []expr.Any {
	set, next := pick(v6, any4, any6), uint32(0)
	var exprs []expr.Any
	if withAddress {
		set, next = pick(v6, ports4, ports6), size(v6)/4
		exprs = destinationAddress(v6)
	}
	register := func(n uint32) uint32 {
		if n == 0 {
			return reg1
		}
		return reg4 + n
	}
	return append(exprs,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register(next)},
		&expr.Payload{DestRegister: register(next + 1), Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg1, SetName: string(set), DestRegister: reg1, IsDestRegSet: true},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(protocolNumber(v6)), RegAddrMin: reg1, RegProtoMin: register(size(v6) / 4)},
	)
}

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func drop() []expr.Any       { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }
func noTracking() []expr.Any { return []expr.Any{&expr.Notrack{}} }

// masquerade picks a random port: two Pods that use one port at the same moment do not race for it (fully-random).
func masquerade() []expr.Any { return []expr.Any{&expr.Masq{FullyRandom: true}} }
