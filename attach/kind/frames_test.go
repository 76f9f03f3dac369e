package kind

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// listen hears every frame of an interface.
func listen(t testing.TB, ns *netns.Namespace, index int) (fd int) {
	t.Helper()
	if err := ns.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ALL))); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// send puts one frame on an interface.
func send(t testing.TB, ns *netns.Namespace, index int, frame []byte) {
	t.Helper()
	fd := listen(t, ns, index)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}); err != nil {
		t.Fatal(err)
	}
}

// hear collects frames until none has come for so long.
func hear(t testing.TB, fd int, quiet time.Duration) (frames [][]byte) {
	t.Helper()
	tv := unix.NsecToTimeval(quiet.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	for {
		b := make([]byte, 10000)
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return frames
		}
		frames = append(frames, b[:n])
	}
}
