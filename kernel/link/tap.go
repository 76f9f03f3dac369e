package link

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Tap is an Ethernet interface whose other end is whoever opens it.
type Tap struct {
	Name string
	// MultiQueue lets it be opened many times.
	MultiQueue bool
	// Owner and Group may open it without a right to administer networks; nil is anybody with that right.
	Owner, Group *uint32
}

// MakeTapHere makes a tap in the namespace of the calling thread, by ioctl (rtnetlink cannot, Documentation/networking/tuntap.rst). It
// is Exists when there is an interface of the name.
func MakeTapHere(t Tap) error {
	failed := func(err error) error { return &Error{Op: "make tap (" + t.Name + ")", Err: err} }
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return failed(err)
	}
	defer file.Close() // the interface persists
	request, err := unix.NewIfreq(t.Name)
	if err != nil {
		return failed(err)
	}
	// Without packet information, as everybody opens taps today; with IFF_TUN_EXCL an existing one is not taken over.
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_TUN_EXCL)
	if t.MultiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	request.SetUint16(flags)
	fd := int(file.Fd())
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		if err == unix.EBUSY {
			err = unix.EEXIST
		}
		return failed(err)
	}
	for _, set := range []struct {
		request uint
		value   *uint32
	}{{unix.TUNSETOWNER, t.Owner}, {unix.TUNSETGROUP, t.Group}} {
		if set.value == nil {
			continue
		}
		if err := unix.IoctlSetInt(fd, set.request, int(*set.value)); err != nil {
			return failed(err)
		}
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return failed(fmt.Errorf("keep it: %w", err))
	}
	return nil
}

// TapInfo is what the kernel shows of a tap.
type TapInfo struct {
	MultiQueue bool
	// Owner and Group are nil for anybody.
	Owner, Group *uint32
}
