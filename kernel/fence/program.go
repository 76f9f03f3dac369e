package fence

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Offsets into an Ethernet frame (IEEE 802.3, RFC 826, RFC 791, RFC 8200,
// RFC 4861).
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	arpSender  = 14 + 14 // ar$spa of Ethernet and IPv4
	arpTarget  = 14 + 24 // ar$tpa
	ipv4Source = 14 + 12
	ipv4Dst    = 14 + 16
	ipv6Next   = 14 + 6
	ipv6Source = 14 + 8
	ipv6Dst    = 14 + 24
	icmp6Type  = 14 + 40
	ndTarget   = 14 + 40 + 8

	icmp6         = 58
	solicitation  = 135
	advertisement = 136
)

// What a program says of a frame (linux/bpf.h, enum tcx_action_base).
const (
	next = -1
	drop = 2
)

// side is one direction: where a frame has the address that is guarded.
type side struct {
	name            string
	arp, ipv4, ipv6 int32
	nd              int32 // the type of the neighbour discovery message that has it as its target
	counter         int32
	announced       bool // lets announcements of others pass
}

// On the way in it is whom the frame is for, on the way out whom it is from.
var (
	inbound  = side{"tsu_fence_in", arpTarget, ipv4Dst, ipv6Dst, solicitation, 0, true}
	outbound = side{"tsu_fence_out", arpSender, ipv4Source, ipv6Source, advertisement, 1, false}
)

// Places on the stack. Keys of both families are 16 bytes; IPv4 is mapped into
// IPv6 (RFC 4291 section 2.5.5.2).
const (
	keyAt   = -16
	lastAt  = -4 // the last four bytes of the key
	byteAt  = -24
	indexAt = -28
)

// program drops frames of guarded addresses while the fence is closed. Frames
// that are too short for what they say they are are left to the kernel.
func program(s side, guarded, until, dropped *ebpf.Map) *ebpf.ProgramSpec {
	load := func(offset int32, to int16, size int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, offset),
			asm.Mov.Reg(asm.R3, asm.RFP),
			asm.Add.Imm(asm.R3, int32(to)),
			asm.Mov.Imm(asm.R4, size),
			asm.FnSkbLoadBytes.Call(),
			asm.JNE.Imm(asm.R0, 0, "pass"),
		}
	}
	mapped := asm.Instructions{
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, keyAt, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R1, -1),
		asm.StoreMem(asm.RFP, keyAt+8, asm.R1, asm.Word),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, keyAt+8, asm.R1, asm.Half),
	}
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R1, 16, asm.Word), // __sk_buff.protocol
		asm.HostTo(asm.BE, asm.R7, asm.Half),
		asm.JEq.Imm(asm.R7, etherIPv6, "ipv6"),
	}
	code = append(code, mapped...)
	code = append(code,
		asm.JEq.Imm(asm.R7, etherIPv4, "ipv4"),
		asm.JNE.Imm(asm.R7, etherARP, "pass"),
	)
	code = append(code, load(s.arp, lastAt, 4)...)
	if s.announced {
		// The owner's announcement has the address as its target, too, and
		// is for everybody's neighbour table.
		code = append(code, load(arpSender, byteAt, 4)...)
		code = append(code, asm.LoadMem(asm.R8, asm.RFP, byteAt, asm.Word), asm.LoadMem(asm.R9, asm.RFP, lastAt, asm.Word), asm.JEq.Reg(asm.R8, asm.R9, "pass"))
	}
	code = append(code, asm.Ja.Label("look"))
	code = append(code, labelled("ipv4", load(s.ipv4, lastAt, 4))...)
	code = append(code, asm.Ja.Label("look"))

	code = append(code, labelled("ipv6", load(ipv6Next, byteAt, 1))...)
	code = append(code, asm.LoadMem(asm.R8, asm.RFP, byteAt, asm.Byte), asm.JNE.Imm(asm.R8, icmp6, "plain6"))
	code = append(code, load(icmp6Type, byteAt, 1)...)
	code = append(code, asm.LoadMem(asm.R8, asm.RFP, byteAt, asm.Byte), asm.JNE.Imm(asm.R8, s.nd, "plain6"))
	code = append(code, load(ndTarget, keyAt, 16)...)
	code = append(code, asm.Ja.Label("look"))
	code = append(code, labelled("plain6", load(s.ipv6, keyAt, 16))...)

	code = append(code,
		asm.LoadMapPtr(asm.R1, guarded.FD()).WithSymbol("look"),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, keyAt),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),

		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, indexAt, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, until.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, indexAt),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R8, asm.R0, 0, asm.DWord),
		asm.FnKtimeGetBootNs.Call(),
		asm.JLT.Reg(asm.R0, asm.R8, "pass"),

		asm.Mov.Imm(asm.R1, s.counter).WithSymbol("drop"),
		asm.StoreMem(asm.RFP, indexAt, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, dropped.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, indexAt),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "dropped"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, drop).WithSymbol("dropped"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, next).WithSymbol("pass"),
		asm.Return(),
	)
	return &ebpf.ProgramSpec{Name: s.name, Type: ebpf.SchedCLS, Instructions: code, License: "GPL"}
}

func labelled(name string, code asm.Instructions) asm.Instructions {
	code[0] = code[0].WithSymbol(name)
	return code
}
