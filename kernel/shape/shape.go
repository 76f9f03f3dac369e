// Package shape limits how fast packets leave through a link, and how fast they come in.
//
// It owns the queueing disciplines (tc-tbf(8)), and the intermediate device (IFB) that packets which come in are led through, since only what
// leaves can be held back. It does not know Pods, nor why something is limited.
//
// Start at In.
package shape

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Rate is a limit, in bits per second, and what may go at once, in bits.
type Rate struct{ Bits, Burst uint64 }

// latency is how long a packet may wait before it is dropped, in microseconds.
const latency = 25000

// Conn changes the links of one namespace.
type Conn struct{ h *netlink.Handle }

// In is for a namespace; nil is the process's own.
func In(ns *netns.Namespace) (*Conn, error) {
	at := vnetns.None()
	if ns != nil {
		at = vnetns.NsHandle(ns.FD())
	}
	h, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket for queueing disciplines: %w", err)
	}
	return &Conn{h}, nil
}

// Close closes the socket.
func (c *Conn) Close() { c.h.Close() }

// Leaving limits what leaves through a link. It is its only limit then.
func (c *Conn) Leaving(device string, r Rate) error {
	l, err := c.h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("look up interface %s: %w", device, err)
	}
	return c.limit(l, r)
}

func (c *Conn) limit(l netlink.Link, r Rate) error {
	if err := c.h.QdiscReplace(bucket(l.Attrs().Index, r)); err != nil {
		return fmt.Errorf("limit %s to %d bits/s: %w", l.Attrs().Name, r.Bits, err)
	}
	return nil
}

// bucket is the token bucket of a limit, in the units of the kernel.
func bucket(index int, r Rate) *netlink.Tbf {
	rate, burst := r.Bits/8, r.Burst/8
	ticks := uint32(float64(uint32(float64(burst)*float64(netlink.TIME_UNITS_PER_SEC)/float64(rate))) * netlink.TickInUsec())
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Limit:      uint32(float64(rate)*latency/float64(netlink.TIME_UNITS_PER_SEC)) + uint32(burst),
		Rate:       rate,
		Buffer:     ticks,
	}
}

// Entering limits what comes in through a link, by way of an intermediate device of that name, which is made anew. Alias says whose it is.
func (c *Conn) Entering(device, through, alias string, r Rate) error {
	l, err := c.h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("look up interface %s: %w", device, err)
	}
	if err := c.Remove(through); err != nil {
		return err
	}
	err = c.h.LinkAdd(&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: through, Flags: net.FlagUp, MTU: l.Attrs().MTU}})
	if err != nil {
		return fmt.Errorf("make intermediate device %s: %w", through, err)
	}
	ifb, err := c.h.LinkByName(through)
	if err != nil {
		return fmt.Errorf("look up interface %s: %w", through, err)
	}
	if err := c.h.LinkSetAlias(ifb, alias); err != nil {
		return fmt.Errorf("mark intermediate device %s: %w", through, err)
	}
	if err := c.limit(ifb, r); err != nil {
		return err
	}
	return c.redirect(l, ifb)
}

// redirect leads what comes in by a link through another one.
func (c *Conn) redirect(l, ifb netlink.Link) error {
	ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}}
	if err := c.h.QdiscDel(ingress); err != nil && !missing(err) { // one that an attempt left that was cut short
		return fmt.Errorf("lead packets from %s through %s: %w", l.Attrs().Name, ifb.Attrs().Name, err)
	}
	if err := c.h.QdiscAdd(ingress); err != nil {
		return fmt.Errorf("lead packets from %s through %s: %w", l.Attrs().Name, ifb.Attrs().Name, err)
	}
	err := c.h.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: l.Attrs().Index, Parent: ingress.Handle, Priority: 1, Protocol: unix.ETH_P_ALL},
		ClassId:     netlink.MakeHandle(1, 1),
		RedirIndex:  ifb.Attrs().Index,
		Actions:     []netlink.Action{&netlink.MirredAction{MirredAction: netlink.TCA_EGRESS_REDIR, Ifindex: ifb.Attrs().Index}},
	})
	if err != nil {
		return fmt.Errorf("lead packets from %s through %s: %w", l.Attrs().Name, ifb.Attrs().Name, err)
	}
	return nil
}

// Free takes the limits from a link. One that is gone is fine.
func (c *Conn) Free(device string) error {
	l, err := c.h.LinkByName(device)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up interface %s: %w", device, err)
	}
	index := l.Attrs().Index
	for _, q := range []netlink.Qdisc{
		bucket(index, Rate{8, 8}),
		&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}},
	} {
		if err := c.h.QdiscDel(q); err != nil && !missing(err) {
			return fmt.Errorf("take the limit from %s: %w", device, err)
		}
	}
	return nil
}

// Remove takes an intermediate device away. One that is gone is fine.
func (c *Conn) Remove(through string) error {
	l, err := c.h.LinkByName(through)
	if missing(err) {
		return nil
	}
	if err == nil {
		err = c.h.LinkDel(l)
	}
	if err != nil && !missing(err) {
		return fmt.Errorf("delete intermediate device %s: %w", through, err)
	}
	return nil
}

// Limit is what leaves a link at most; zero for a link without a limit. Leads tells whether what comes in is led through another one.
func (c *Conn) Limit(device string) (has string, leads bool, err error) {
	l, err := c.h.LinkByName(device)
	if missing(err) {
		return "no interface", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look up interface %s: %w", device, err)
	}
	all, err := c.h.QdiscList(l)
	if err != nil {
		return "", false, fmt.Errorf("list queueing disciplines of %s: %w", device, err)
	}
	has = "none"
	for _, q := range all {
		switch q := q.(type) {
		case *netlink.Tbf:
			has = describe(q)
		case *netlink.Ingress:
			filters, err := c.h.FilterList(l, q.Handle)
			leads = err == nil && len(filters) > 0
		}
	}
	return has, leads, nil
}

// String is a limit as Limit tells it.
func (r Rate) String() string { return describe(bucket(0, r)) }

func describe(q *netlink.Tbf) string {
	return fmt.Sprintf("%d bytes/s, buffer %d, limit %d bytes", q.Rate, q.Buffer, q.Limit)
}

// missing tells that there is no such link, or no such queueing discipline.
func missing(err error) bool {
	var none netlink.LinkNotFoundError
	return errors.As(err, &none) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV)
}
