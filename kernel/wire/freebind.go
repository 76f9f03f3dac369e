package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenUDPHere listens on an address that the node may not have yet, or have now and then (IP_FREEBIND, ip(7)), in the namespace of
// the calling thread.
func ListenUDPHere(at netip.AddrPort) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: freebind(at.Addr())}
	c, err := lc.ListenPacket(context.Background(), "udp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", at, err)
	}
	return c.(*net.UDPConn), nil
}

// ListenTCPHere is ListenUDPHere for TCP.
func ListenTCPHere(at netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{Control: freebind(at.Addr())}
	l, err := lc.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on TCP %s: %w", at, err)
	}
	return l, nil
}

func freebind(a netip.Addr) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		level, option := unix.SOL_IP, unix.IP_FREEBIND
		if a.Is6() {
			level, option = unix.SOL_IPV6, unix.IPV6_FREEBIND
		}
		var err error
		bad := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
		if bad != nil {
			return bad
		}
		return err
	}
}
