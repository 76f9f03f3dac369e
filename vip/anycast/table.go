package anycast

import (
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
)

// Table is a Teller: it puts routes into a routing table of the node, for a daemon (BIRD, FRR) to export.
type Table struct {
	addresses []netip.Addr
	// number of the table, and the routes' protocol (rtnetlink(7), rtm_protocol), by which the daemon knows them.
	number, protocol int
	conn             *link.Conn
}

// NewTable tells of the addresses by a table.
func NewTable(number, protocol int, addresses []netip.Addr) (*Table, error) {
	conn, err := link.DialHere()
	if err != nil {
		return nil, err
	}
	return &Table{addresses, number, protocol, conn}, nil
}

// Tell is of Teller.
func (t *Table) Tell(device int) error {
	var ops []link.Op
	for _, r := range t.routes(device) {
		ops = append(ops, link.ReplaceRoute(carrier.Device, r))
	}
	return t.conn.Apply(ops...)
}

// Untell is of Teller.
func (t *Table) Untell(device int) error {
	var ops []link.Op
	for _, r := range t.routes(device) {
		r.Source, r.Expires = netip.Addr{}, 0
		ops = append(ops, link.DeleteRoute(carrier.Device, r).Forgiving())
	}
	return t.conn.Apply(ops...)
}

// Close is of Teller.
func (t *Table) Close() error { return t.conn.Close() }

// routes end with the process: those of IPv4 go with the address that is their source. The kernel has nothing of the kind for IPv6; those have
// a time of their own, and go when it tidies up after that (net.ipv6.route.gc_interval, 30 s).
func (t *Table) routes(device int) (all []link.Route) {
	for _, a := range t.addresses {
		r := link.Route{Index: device, Dst: carrier.Host(a), Table: t.number, Protocol: t.protocol}
		if a.Is4() {
			r.Source = a
		} else {
			r.Expires = int(carrier.Lifetime / time.Second)
		}
		all = append(all, r)
	}
	return all
}
