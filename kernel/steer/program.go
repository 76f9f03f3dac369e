package steer

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Offsets into struct bpf_sk_lookup (linux/bpf.h). Addresses are in network order,
// the local port is in the host's.
const (
	family    = 8
	protocol  = 12
	localIP4  = 40
	localIP6  = 44
	localPort = 60
)

const (
	inet, tcp = 2, 6 // AF_INET, IPPROTO_TCP
	pass      = 1    // SK_PASS
)

// Places on the stack: a key of the addresses (IPv4 is mapped into IPv6, RFC 4291
// section 2.5.5.2) and one of the sockets.
const (
	keyAt   = -16
	indexAt = -20
)

// slot is where the sockets' map has the one of a family.
const (
	slot4 = 0
	slot6 = 1
)

// program hands connections for the addresses and the port to the socket of their
// family. Without one there the lookup goes on as ever.
func program(port uint16, addresses, sockets *ebpf.Map) *ebpf.ProgramSpec {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, protocol, asm.Word),
		asm.JNE.Imm(asm.R2, tcp, "pass"),
		asm.LoadMem(asm.R2, asm.R6, localPort, asm.Word),
		asm.JNE.Imm(asm.R2, int32(port), "pass"),
		asm.LoadMem(asm.R2, asm.R6, family, asm.Word),
		asm.Mov.Imm(asm.R7, slot6),
		asm.JNE.Imm(asm.R2, inet, "ipv6"),
		asm.Mov.Imm(asm.R7, slot4),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, keyAt, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R1, -1),
		asm.StoreMem(asm.RFP, keyAt+8, asm.R1, asm.Word),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, keyAt+8, asm.R1, asm.Half),
		asm.LoadMem(asm.R1, asm.R6, localIP4, asm.Word),
		asm.StoreMem(asm.RFP, keyAt+12, asm.R1, asm.Word),
		asm.Ja.Label("look"),
	}
	for i := int16(0); i < 4; i++ {
		load := asm.LoadMem(asm.R1, asm.R6, localIP6+4*i, asm.Word)
		if i == 0 {
			load = load.WithSymbol("ipv6")
		}
		code = append(code, load, asm.StoreMem(asm.RFP, keyAt+4*i, asm.R1, asm.Word))
	}
	code = append(code,
		asm.LoadMapPtr(asm.R1, addresses.FD()).WithSymbol("look"),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, keyAt),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),

		asm.StoreMem(asm.RFP, indexAt, asm.R7, asm.Word),
		asm.LoadMapPtr(asm.R1, sockets.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, indexAt),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.R8),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnSkAssign.Call(),
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.FnSkRelease.Call(),

		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	)
	return &ebpf.ProgramSpec{Name: "tsu_steer", Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup, Instructions: code, License: "GPL"}
}
