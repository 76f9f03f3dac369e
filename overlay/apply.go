package overlay

import (
	"context"
	"errors"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// apply carries a plan out. What fails does not keep the rest from being done, as far as the rest can do without it.
func (k kernel) apply(_ context.Context, p plan) error {
	var failures []error
	try := func(err error) bool {
		if err != nil {
			failures = append(failures, err)
		}
		return err == nil
	}
	for _, c := range p.sysctls {
		try(k.sysctls.Write(c.path, c.value))
	}
	index, ok := k.applyDevice(p, try)
	if ok {
		for _, c := range p.deviceSysctls {
			if err := k.sysctls.Write(c.path, c.value); c.path != deviceNo6 { // without IPv6 on the node, its routes will say so
				try(err)
			}
		}
		for _, a := range p.addAddresses {
			try(k.links.Apply(link.AddAddress(Device, index, a, link.AddressOptions{NoPrefixRoute: true}).Forgiving()))
		}
	}
	for _, r := range p.replaceRoutes {
		if r.Device == tunnelDevice {
			if !ok {
				continue
			}
			r.Device = index
		}
		try(k.routes.Replace(r))
	}
	for _, r := range p.removeRoutes {
		if r.Device == tunnelDevice {
			r.Device = index
		}
		try(k.routes.Delete(r))
	}
	for _, a := range p.removeAddresses {
		try(k.links.Apply(link.DeleteAddress(Device, index, a).Forgiving()))
	}
	return errors.Join(failures...)
}

// applyDevice brings the device about and tells its index. It is not ok when there is none, though one is wanted.
func (k kernel) applyDevice(p plan, try func(error) bool) (index int, ok bool) {
	if p.drop && !try(k.links.Apply(link.Delete(Device).Forgiving())) {
		return 0, false
	}
	if p.wanted.device == nil {
		return 0, true
	}
	if p.make && !try(k.routes.Make(p.device)) {
		return 0, false
	}
	d, found, err := k.routes.Device(p.device)
	if !try(err) || !found {
		return 0, false
	}
	if p.mtu != 0 {
		try(k.links.Apply(link.Set(link.Change{Device: Device, Index: d.Index, MTU: p.mtu})))
	}
	if p.up && !try(k.routes.Up(Device)) {
		return d.Index, false
	}
	return d.Index, true
}

// contents are the elements of the nft table that a picture asks for.
func (w wanted) contents() nft.Contents {
	c := nft.Contents{}
	for _, a := range w.nodes {
		c.Node(a)
	}
	c.Pods(w.pods)
	c.Own(w.own)
	return c
}
