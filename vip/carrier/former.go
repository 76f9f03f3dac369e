package carrier

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// clean removes what a former run left, and addresses that another program
// (kube-vip, keepalived) put on an interface and left there.
func (c *Carrier) clean() error {
	links, err := c.conn.Links()
	if err != nil {
		return err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	have, err := c.conn.Addresses()
	if err != nil {
		return err
	}
	gone, err := leftover(have, c.addresses, names)
	if err != nil {
		return err
	}
	var ops []link.Op
	for _, a := range gone {
		if names[a.Index] != Device {
			c.log.Info("removes an address that another program left", "address", a.Prefix, "interface", names[a.Index])
		}
		ops = append(ops, link.DeleteAddress(names[a.Index], a.Index, a.Prefix).Forgiving())
	}
	return c.conn.Apply(append(ops, link.Delete(Device).Forgiving())...)
}

// leftover are the owned addresses that are on the node already. One with its
// subnet is none of those, but the node's own: a mistake.
func leftover(have []link.Address, owned []netip.Addr, names map[int]string) (gone []link.Address, err error) {
	for _, a := range have {
		if !slices.Contains(owned, a.Prefix.Addr()) {
			continue
		}
		if !a.Prefix.IsSingleIP() {
			return nil, fmt.Errorf("address %s is this node's own on %s (%s): choose one that no host has", a.Prefix.Addr(), names[a.Index], a.Prefix)
		}
		gone = append(gone, a)
	}
	return gone, nil
}

// make makes the device.
func (c *Carrier) make() error {
	if err := c.conn.Apply(link.NewBridge(link.End{Name: Device, Group: link.Group, Down: true})); err != nil {
		return err
	}
	d, err := c.conn.ByName(Device)
	if err != nil {
		return err
	}
	c.device = d.Index
	if slices.ContainsFunc(c.addresses, netip.Addr.Is6) && link.ReadHere("ipv6/conf/"+Device+"/disable_ipv6") == "1" {
		if err := link.WriteHere("ipv6/conf/"+Device+"/disable_ipv6", "0"); err != nil {
			return fmt.Errorf("allow IPv6 on %s: %w", Device, err)
		}
	}
	// The device speaks to nobody, and needs no address of its own.
	if path := "ipv6/conf/" + Device + "/addr_gen_mode"; link.ReadHere(path) != "" {
		_ = link.WriteHere(path, "1")
	}
	return c.conn.Apply(link.Up(Device, d.Index))
}
