package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// receiveSize is what one read may return; the kernel packs dumps into pieces of up to 32 KiB (netlink_dump).
const receiveSize = 64 << 10

// Conn is an rtnetlink socket. It stays in the namespace where it was opened, whichever thread uses it, and is safe for several
// goroutines, one after the other.
type Conn struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf *[receiveSize]byte
}

// buffers are for sockets that live for one operation.
var buffers = sync.Pool{New: func() any { return new([receiveSize]byte) }}

// Dial opens a socket in a namespace.
func Dial(ns *netns.Namespace) (c *Conn, err error) {
	err = ns.Do(func() error {
		c, err = DialHere()
		return err
	})
	return c, err
}

// DialHere opens a socket in the namespace of the calling thread.
func DialHere() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	// Errors with the kernel's own words and without our message in return; dumps that honour their filters. Kernels before 4.20
	// know none of them and work all the same.
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK, unix.NETLINK_GET_STRICT_CHK} {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1)
	}
	return &Conn{fd: fd}, nil
}

// Close closes the socket.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buf != nil {
		buffers.Put(c.buf)
		c.buf = nil
	}
	return unix.Close(c.fd)
}

// send writes messages whose headers carry their sequence numbers already.
func (c *Conn) send(b []byte) error {
	if err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send rtnetlink message: %w", err)
	}
	return nil
}

// receive calls each for the messages of one read. The kernel answers before send returns, so there is always something to read.
func (c *Conn) receive(each func(h header, body []byte) error) error {
	if c.buf == nil {
		c.buf = buffers.Get().(*[receiveSize]byte)
	}
	n, _, err := unix.Recvfrom(c.fd, c.buf[:], 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("receive rtnetlink message: %w", err)
	}
	for b := c.buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
		h := readHeader(b)
		if h.length < unix.SizeofNlMsghdr || int(h.length) > len(b) {
			return errors.New("receive rtnetlink message: length does not fit")
		}
		if err := each(h, b[unix.SizeofNlMsghdr:h.length]); err != nil {
			return err
		}
		b = b[min(align(int(h.length)), len(b)):]
	}
	return nil
}

type header struct {
	length     uint32
	typ, flags uint16
	seq        uint32
}

func readHeader(b []byte) header {
	return header{
		length: binary.NativeEndian.Uint32(b),
		typ:    binary.NativeEndian.Uint16(b[4:]),
		flags:  binary.NativeEndian.Uint16(b[6:]),
		seq:    binary.NativeEndian.Uint32(b[8:]),
	}
}

func align(n int) int { return (n + 3) &^ 3 }
