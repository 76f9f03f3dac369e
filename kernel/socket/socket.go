// Package socket ends TCP connections of addresses that have left the node.
//
// It owns the kernel's list of connections (sock_diag(7)). It does not know why
// an address leaves. Start at Destroy.
package socket

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Destroy ends the TCP connections whose own address this is, in the namespace
// of the calling thread, and tells how many: nobody can send for them any more,
// and both ends would wait for minutes. It wants CONFIG_INET_DIAG_DESTROY.
func Destroy(local netip.Addr) (n int, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} { // IPv4 may hide in sockets of IPv6
		all, failed := netlink.SocketDiagTCP(family)
		if failed != nil {
			err = fmt.Errorf("list connections: %w", failed)
			continue
		}
		for _, s := range all {
			from, ok := netip.AddrFromSlice(s.ID.Source)
			if !ok || from.Unmap() != local || s.ID.DestinationPort == 0 || s.State == unix.BPF_TCP_TIME_WAIT {
				continue
			}
			source := &net.TCPAddr{IP: s.ID.Source, Port: int(s.ID.SourcePort)}
			if failed := netlink.SocketDestroy(source, &net.TCPAddr{IP: s.ID.Destination, Port: int(s.ID.DestinationPort)}); failed != nil {
				err = fmt.Errorf("end the connections of %s: %w", local, failed)
				continue
			}
			n++
		}
	}
	return n, err
}
