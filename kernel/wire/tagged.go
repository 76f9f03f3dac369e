package wire

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Frames with a tag are heard before anybody else of the node has them: by a socket of all protocols, since the kernel takes the tag off
// before it gives a frame to a socket of one (skb_vlan_untag), and tells the tag beside it (packet(7), PACKET_AUXDATA).

// prepareTagged has a socket hear what has a tag and is ARP or neighbour discovery.
func prepareTagged(fd int, questions []Question) error {
	for _, q := range questions {
		if q.Target.Is4() {
			continue
		}
		// An answer to a probe goes to all nodes (RFC 4861 clause 7.2.4), which an interface without IPv6 does not listen to.
		for _, group := range [][]byte{multicast(solicited(q.Target)), {0x33, 0x33, 0, 0, 0, 1}} {
			if err := member(fd, q.Index, group); err != nil {
				return err
			}
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, taggedOnly())
}

// taggedOnly is a filter (bpf(4)) for ARP and neighbour discovery in frames with a tag.
func taggedOnly() *unix.SockFprog {
	const (
		loadByte, loadHalf, loadWord = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		ifEqual, give                = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		hasTag                       = 0xfffff000 + 48 // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT of linux/filter.h
	)
	program := []unix.SockFilter{
		{Code: loadWord, K: hasTag},
		{Code: ifEqual, K: 0, Jt: 9},
		{Code: loadHalf, K: 12},
		{Code: ifEqual, K: etherARP, Jt: 6},
		{Code: ifEqual, K: etherIPv6, Jf: 6},
		{Code: loadByte, K: etherSize + 6},
		{Code: ifEqual, K: protocolICMPv6, Jf: 4},
		{Code: loadByte, K: etherSize + ipv6Size},
		{Code: ifEqual, K: solicitation, Jt: 1},
		{Code: ifEqual, K: advertised, Jf: 1},
		{Code: give, K: 0xffff},
		{Code: give, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// receiveTagged receives a frame and the VLAN that it came with.
func receiveTagged(fd int, b []byte) (n, vlan int, from unix.Sockaddr, err error) {
	beside := make([]byte, unix.CmsgSpace(auxdataSize))
	n, size, _, from, err := unix.Recvmsg(fd, b, beside, 0)
	if err != nil {
		return 0, 0, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(beside[:size])
	if err != nil {
		return 0, 0, nil, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= auxdataSize {
			if status := binary.NativeEndian.Uint32(m.Data); status&unix.TP_STATUS_VLAN_VALID != 0 {
				vlan = int(binary.NativeEndian.Uint16(m.Data[16:])) & 0xfff
			}
		}
	}
	return n, vlan, from, nil
}

// auxdataSize is that of struct tpacket_auxdata.
const auxdataSize = 20

// openFilters has cards that drop VLANs which nobody registered take all in, for as long as the socket is open, where a question about a
// VLAN has no answer yet: until the node's first Pod of the VLAN nobody has told them.
func (a *Asker) openFilters(seen []Sighting) error {
	for _, q := range a.questions {
		if q.VLAN == 0 || answered(seen, q) || a.open[q.Index] {
			continue
		}
		conn, err := a.sockets[tagged].SyscallConn()
		if err != nil {
			return err
		}
		m := unix.PacketMreq{Ifindex: int32(q.Index), Type: unix.PACKET_MR_PROMISC}
		if bad := conn.Control(func(fd uintptr) {
			err = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m)
		}); bad != nil {
			return bad
		}
		if err != nil {
			return err
		}
		a.open[q.Index] = true
	}
	return nil
}
