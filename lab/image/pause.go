package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// pause gives the program that holds a Pod's namespaces: a complete static ELF
// file of 180 bytes. A Pod of every size has one of these, so it is worth
// having no runtime in it: a page of memory instead of a megabyte.
//
// It ignores SIGCHLD, by which the kernel reaps the orphans of a Pod that
// shares its process namespace, and then sleeps for ever. As process 1 it
// needs no handler for SIGTERM, and the runtime ends it with SIGKILL.
func pause(arch string) ([]byte, error) {
	var machine uint16
	var code []byte
	switch arch {
	case "amd64":
		machine = 62 // EM_X86_64
		code = []byte{
			0x6a, 0x0d, 0x58, // push 13; pop rax          rt_sigaction
			0x6a, 0x11, 0x5f, // push 17; pop rdi          SIGCHLD
			0x48, 0x8d, 0x35, 0x0f, 0, 0, 0, // lea rsi, [rip+15]  the action below
			0x31, 0xd2, // xor edx, edx              old action: none
			0x6a, 0x08, 0x41, 0x5a, // push 8; pop r10    size of a signal set
			0x0f, 0x05, // syscall
			0x6a, 0x22, 0x58, // push 34; pop rax          pause
			0x0f, 0x05, // syscall
			0xeb, 0xf9, // jmp to "push 34"
		}
	case "arm64":
		machine = 183 // EM_AARCH64
		for _, op := range []uint32{
			0xd28010c8, // mov x8, #134   rt_sigaction
			0xd2800220, // mov x0, #17    SIGCHLD
			0x10000161, // adr x1, .+44   the action below
			0xd2800002, // mov x2, #0
			0xd2800103, // mov x3, #8
			0xd4000001, // svc #0
			0xd2800928, // mov x8, #73    ppoll: no files, no timeout, no mask
			0xd2800000, // mov x0, #0
			0xd2800001, // mov x1, #0
			0xd2800002, // mov x2, #0
			0xd2800003, // mov x3, #0
			0xd4000001, // svc #0
			0x17fffffa, // b to "mov x8, #73"
		} {
			code = binary.LittleEndian.AppendUint32(code, op)
		}
	default:
		return nil, fmt.Errorf("no pause program for %s; write its five instructions", arch)
	}
	// struct sigaction of the kernel: handler SIG_IGN (1), flags, restorer, mask.
	action := make([]byte, 32)
	action[0] = 1

	const base, header = 0x400000, 64 + 56
	text := append(code, action...)
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	le := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a Buffer takes everything
	le(uint16(2))                                                      // ET_EXEC
	le(machine)
	le(uint32(1))
	le(uint64(base + header)) // entry
	le(uint64(64))            // program headers follow
	le(uint64(0))             // no sections
	le(uint32(0))
	le([]uint16{64, 56, 1, 0, 0, 0})
	size := uint64(header + len(text))
	le(uint32(1)) // PT_LOAD
	le(uint32(5)) // read, execute
	le(uint64(0)) // offset
	le(uint64(base))
	le(uint64(base))
	le(size)
	le(size)
	le(uint64(0x10000))
	b.Write(text)
	return b.Bytes(), nil
}
