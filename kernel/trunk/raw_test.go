package trunk_test

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// raw is a packet socket on one interface.
type raw struct {
	*world
	fd, index int
}

func (w *world) raw(ns *netns.Namespace, index int) *raw {
	w.Helper()
	r := &raw{world: w, index: index}
	w.must(ns.Do(func() (err error) {
		if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL))); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return err
		}
		return unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index})
	}))
	w.Cleanup(func() { unix.Close(r.fd) })
	return r
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (r *raw) send(parts ...any) {
	r.Helper()
	r.must(unix.Sendto(r.fd, frame(parts...), 0, &unix.SockaddrLinklayer{Ifindex: r.index, Halen: 6}))
}

// frame puts bytes, texts and big-endian numbers together.
func frame(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case net.HardwareAddr:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		case string:
			b = append(b, p...)
		case byte:
			b = append(b, p)
		case int:
			b = binary.BigEndian.AppendUint16(b, uint16(p))
		}
	}
	for len(b) < 60 {
		b = append(b, 0)
	}
	return b
}

// await waits for a frame that came in and holds a text; tag is 0 for none.
func (r *raw) await(text string, wait time.Duration) (tag int, found bool) {
	r.Helper()
	deadline := time.Now().Add(wait)
	b, oob := make([]byte, 10000), make([]byte, 256)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return 0, false
		}
		tv := unix.NsecToTimeval(left.Nanoseconds())
		r.must(unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
		n, oobn, _, from, err := unix.Recvmsg(r.fd, b, oob, 0)
		if err != nil {
			continue
		}
		if ll, is := from.(*unix.SockaddrLinklayer); is && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if contains(b[:n], text) {
			return r.tag(oob[:oobn]), true
		}
	}
}

func contains(b []byte, text string) bool {
	for i := 0; i+len(text) <= len(b); i++ {
		if string(b[i:i+len(text)]) == text {
			return true
		}
	}
	return false
}

// tag is what the kernel has taken off the frame (struct tpacket_auxdata).
func (r *raw) tag(oob []byte) int {
	all, err := unix.ParseSocketControlMessage(oob)
	r.must(err)
	for _, m := range all {
		if m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20 {
			return int(binary.NativeEndian.Uint16(m.Data[16:])) & 0xfff
		}
	}
	return 0
}
