package nft

import (
	"fmt"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// generation counts the commits of everybody in the namespace (NFT_MSG_GETGEN).
func (t *Table) generation() (string, error) {
	config := &netlink.Config{}
	if t.ns != nil {
		config.NetNS = t.ns.FD()
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, config)
	if err != nil {
		return "", fmt.Errorf("open nftables socket: %w", err)
	}
	defer c.Close()
	answer, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN), Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return "", fmt.Errorf("read the generation of nftables: %w", err)
	}
	if len(answer) != 1 || len(answer[0].Data) < 12 {
		return "", fmt.Errorf("read the generation of nftables: %d answers", len(answer))
	}
	return string(answer[0].Data[4:12]), nil // struct nfgenmsg is before, who committed is behind
}

// recentPorts are the netlink ports of the last sockets that changed the table: events that they caused carry them.
type recentPorts struct {
	mu    sync.Mutex
	ports [64]uint32
	next  int
}

func (r *recentPorts) remember(c *netlink.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var port uint32
	var failed error
	if err := raw.Control(func(fd uintptr) {
		address, err := unix.Getsockname(int(fd))
		if a, ok := address.(*unix.SockaddrNetlink); ok {
			port = a.Pid
		}
		failed = err
	}); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("ask for the port of an nftables socket: %w", failed)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[r.next%len(r.ports)] = port
	r.next++
	return nil
}

func (r *recentPorts) own(port uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.ports {
		if p == port && p != 0 {
			return true
		}
	}
	return false
}
