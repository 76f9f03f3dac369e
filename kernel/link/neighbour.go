package link

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SetNeighbour makes ip known at mac for good (NUD_PERMANENT).
func SetNeighbour(device string, index int, ip netip.Addr, mac net.HardwareAddr) Op {
	m := neighbourMessage(index, ip, unix.NUD_PERMANENT, 0)
	m.attr(unix.NDA_LLADDR, mac)
	return Op{what: "set neighbour " + ip.String(), device: device, typ: unix.RTM_NEWNEIGH,
		flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE, body: m}
}

// Announce4 makes the kernel ask the segment for the interface's own IPv4 address, three times a second apart: each question is a
// gratuitous ARP request (RFC 5227 clause 3) that replaces a cached hardware address of whoever had the address before. The
// neighbour entry it leaves fails after that and is collected.
func Announce4(device string, index int, own netip.Addr) Op {
	return Op{what: "announce " + own.String(), device: device, typ: unix.RTM_NEWNEIGH,
		flags: unix.NLM_F_CREATE, body: neighbourMessage(index, own, unix.NUD_NONE, unix.NTF_USE)}
}

// neighbourMessage is a struct ndmsg with the address.
func neighbourMessage(index int, ip netip.Addr, state uint16, flags uint8) message {
	m := message{family(ip), 0, 0, 0}
	m = append32(m, uint32(index))
	m = append(m, byte(state), byte(state>>8), flags, 0)
	m.attr(unix.NDA_DST, ip.AsSlice())
	return m
}

// Neighbour is an entry of the neighbour table.
type Neighbour struct {
	Index     int
	IP        netip.Addr
	MAC       net.HardwareAddr
	Permanent bool
}

// Neighbours lists the entries of both families that have a hardware address.
func (c *Conn) Neighbours() ([]Neighbour, error) {
	var all []Neighbour
	err := c.dump("neighbours", unix.RTM_GETNEIGH, message{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, func() { all = all[:0] }, func(_ uint16, b []byte) {
		if len(b) < unix.SizeofNdMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
			return
		}
		n := Neighbour{Index: int(u32(b[4:])), Permanent: uint16(b[8])|uint16(b[9])<<8 == unix.NUD_PERMANENT}
		attrs(b[unix.SizeofNdMsg:], func(typ uint16, v []byte) {
			switch typ {
			case unix.NDA_DST:
				n.IP, _ = netip.AddrFromSlice(v)
			case unix.NDA_LLADDR:
				n.MAC = append(net.HardwareAddr(nil), v...)
			}
		})
		if n.IP.IsValid() && n.MAC != nil {
			all = append(all, n)
		}
	})
	return all, err
}
