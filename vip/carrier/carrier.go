// Package carrier has the addresses on a device of their own, one for a node, and takes away what a former run or another program left of
// them.
//
// It owns the device and what is on it. It does not know when the node may have the addresses, nor who is told where they are: on a segment
// (vip/segment) or by routes (vip/anycast). Start at New, then Carrier.Place.
package carrier

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/socket"
)

// Device carries the addresses on each node. Nobody takes what is on it for the node's own.
const Device = "tsunagu-vip"

// The addresses leave the device by themselves after Lifetime, should nobody place them again; that is to be done every Refresh.
const (
	Lifetime = 3 * time.Second
	Refresh  = time.Second
)

// Carrier is the device and its addresses.
type Carrier struct {
	conn      *link.Conn
	addresses []netip.Addr
	log       *slog.Logger
	device    int // index
}

// New removes what was left of the addresses on the node, and makes the device, without any. An address of the node's own is an error.
func New(conn *link.Conn, addresses []netip.Addr, log *slog.Logger) (*Carrier, error) {
	c := &Carrier{conn: conn, addresses: addresses, log: log}
	if err := c.clean(); err != nil {
		return nil, err
	}
	return c, c.make()
}

// Index is that of the device.
func (c *Carrier) Index() int { return c.device }

// Place puts the addresses on the device, or prolongs their lives.
func (c *Carrier) Place() error {
	err := c.place()
	if link.Missing(err) { // somebody removed the device
		if err = c.make(); err == nil {
			err = c.place()
		}
	}
	return err
}

func (c *Carrier) place() error {
	var ops []link.Op
	for _, a := range c.addresses {
		ops = append(ops, link.PutAddress(Device, c.device, Host(a), link.AddressOptions{NoPrefixRoute: true, Valid: Lifetime, Aside: true}))
	}
	return c.conn.Apply(ops...)
}

// Vacate takes the addresses away, and the connections that are left with them.
func (c *Carrier) Vacate() error {
	var ops []link.Op
	for _, a := range c.addresses {
		ops = append(ops, link.DeleteAddress(Device, c.device, Host(a)).Forgiving())
	}
	err := c.conn.Apply(ops...)
	for _, a := range c.addresses {
		if n, err := socket.Destroy(a); n > 0 || err != nil {
			c.log.Info("ended the connections of an address that has left", "address", a, "connections", n, "err", err)
		}
	}
	return err
}

// Remove takes the device away, with all that is on it.
func (c *Carrier) Remove() error { return c.conn.Apply(link.Delete(Device).Forgiving()) }

// Host is an address alone, as a prefix.
func Host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
