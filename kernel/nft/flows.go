package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flow is a tracked connection as its first packet started it, and where its answers come from: somewhere else than To when the
// destination was translated.
type Flow struct {
	Protocol            uint8
	From, To, ReplyFrom netip.AddrPort
}

// MatchConntrackFlow is what the netlink library calls.
func (m matcher) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	return m(Flow{
		Protocol:  f.Forward.Protocol,
		From:      endpoint(f.Forward.SrcIP, f.Forward.SrcPort),
		To:        endpoint(f.Forward.DstIP, f.Forward.DstPort),
		ReplyFrom: endpoint(f.Reverse.SrcIP, f.Reverse.SrcPort),
	})
}

type matcher func(Flow) bool

func endpoint(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}

// DeleteFlows makes connection tracking forget the flows that match says yes to: their next packet is a first one again and meets the
// present rules. It reads all flows, so it is not for every change.
func (t *Table) DeleteFlows(match func(Flow) bool) (deleted int, err error) {
	var h *netlink.Handle
	if err := t.inside(func() error {
		h, err = netlink.NewHandle(unix.NETLINK_NETFILTER)
		return err
	}); err != nil {
		return 0, fmt.Errorf("open connection tracking socket: %w", err)
	}
	defer h.Close()
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		n, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, family, matcher(match))
		deleted += int(n)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return deleted, fmt.Errorf("delete tracked connections: %w", err)
		}
	}
	return deleted, nil
}

// LocalAddresses lists the addresses of the node.
func (t *Table) LocalAddresses() (local map[netip.Addr]bool, err error) {
	local = map[netip.Addr]bool{}
	err = t.inside(func() error {
		all, err := net.InterfaceAddrs()
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					local[ip.Unmap()] = true
				}
			}
		}
		return err
	})
	return local, err
}

func (t *Table) inside(fn func() error) error {
	if t.ns == nil {
		return fn()
	}
	return t.ns.Do(fn)
}
