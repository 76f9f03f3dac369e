package link

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Op is one change that the kernel makes whole or not at all.
type Op struct {
	what   string // "add address 10.0.0.2/24"
	device string // the interface it is about
	typ    uint16
	flags  uint16
	body   message
	except []unix.Errno
}

// String is what the operation does to which device, as it appears in errors.
func (o Op) String() string {
	if o.device == "" {
		return o.what
	}
	return o.what + " (" + o.device + ")"
}

// Forgiving returns the operation such that one that has nothing to do, because the thing is there or gone already, is success.
func (o Op) Forgiving() Op {
	o.except = append(slices.Clip(o.except), unix.EEXIST, unix.ENODEV, unix.ENOENT, unix.ESRCH, unix.EADDRNOTAVAIL)
	return o
}

// message is the part of a netlink message behind its header.
type message []byte

// attr appends an attribute (struct rtattr).
func (m *message) attr(typ uint16, value []byte) {
	*m = binary.NativeEndian.AppendUint16(*m, uint16(4+len(value)))
	*m = binary.NativeEndian.AppendUint16(*m, typ)
	*m = append(*m, value...)
	m.pad()
}

func (m *message) pad() {
	for len(*m)%4 != 0 {
		*m = append(*m, 0)
	}
}

func (m *message) text(typ uint16, s string) { m.attr(typ, append([]byte(s), 0)) }

func (m *message) u32(typ uint16, v uint32) {
	m.attr(typ, binary.NativeEndian.AppendUint32(nil, v))
}

func (m *message) u16(typ uint16, v uint16) {
	m.attr(typ, binary.NativeEndian.AppendUint16(nil, v))
}

func (m *message) u8(typ uint16, v uint8) { m.attr(typ, []byte{v}) }

// nest appends an attribute that is made of what fill appends.
func (m *message) nest(typ uint16, fill func(*message)) {
	start := len(*m)
	*m = append(*m, 0, 0, 0, 0)
	fill(m)
	binary.NativeEndian.PutUint16((*m)[start:], uint16(len(*m)-start))
	binary.NativeEndian.PutUint16((*m)[start+2:], typ)
}

// info appends a struct ifinfomsg. change has the flags that flags is about.
func (m *message) info(index int, flags, change uint32) {
	*m = append(*m, unix.AF_UNSPEC, 0, 0, 0)
	*m = binary.NativeEndian.AppendUint32(*m, uint32(index))
	*m = binary.NativeEndian.AppendUint32(*m, flags)
	*m = binary.NativeEndian.AppendUint32(*m, change)
}

// encode appends header and body.
func (o Op) encode(b []byte, seq uint32, flags uint16) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(o.body)))
	b = binary.NativeEndian.AppendUint16(b, o.typ)
	b = binary.NativeEndian.AppendUint16(b, o.flags|flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, o.body...)
}

// attrs calls each for the attributes in b; the nested and byte-order bits of the type are taken off.
func attrs(b []byte, each func(typ uint16, value []byte)) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min(align(n), len(b)):]
	}
}
