package overlay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// plan is what to do, in this order. It is pure data: it can be printed and compared.
type plan struct {
	sysctls []sysctl
	// drop takes the device away, make makes it, mtu and up change one that stays.
	drop, make, up bool
	mtu            int
	device         route.VXLAN
	// deviceSysctls are for after the device exists.
	deviceSysctls                 []sysctl
	addAddresses, removeAddresses []netip.Prefix
	replaceRoutes, removeRoutes   []route.Route
	wanted                        wanted
	// missing says what must come from outside before the rest can be planned.
	missing string
}

// changes counts what there is to do.
func (p plan) changes() int {
	n := len(p.sysctls) + len(p.deviceSysctls) + len(p.addAddresses) + len(p.removeAddresses) + len(p.replaceRoutes) + len(p.removeRoutes)
	for _, b := range []bool{p.drop, p.make, p.up, p.mtu != 0} {
		if b {
			n++
		}
	}
	return n
}

// String lists the steps.
func (p plan) String() string {
	var s []string
	say := func(format string, a ...any) { s = append(s, fmt.Sprintf(format, a...)) }
	if p.missing != "" {
		say("wait: %s", p.missing)
	}
	for _, c := range p.sysctls {
		say("set net/%s=%s", c.path, c.value)
	}
	if p.drop {
		say("delete device %s", Device)
	}
	if p.make {
		say("make device %s port %d mtu %d", Device, p.device.Port, p.device.MTU)
	}
	if p.mtu != 0 {
		say("set mtu of %s to %d", Device, p.mtu)
	}
	if p.up {
		say("set %s up", Device)
	}
	for _, c := range p.deviceSysctls {
		say("set net/%s=%s", c.path, c.value)
	}
	for _, a := range p.addAddresses {
		say("add address %s", a)
	}
	for _, r := range p.replaceRoutes {
		say("replace route %s", r)
	}
	for _, r := range p.removeRoutes {
		say("delete route %s", r)
	}
	for _, a := range p.removeAddresses {
		say("delete address %s", a)
	}
	return strings.Join(s, "\n")
}

// decide compares how the node should be with how it is. nodes are all nodes of the cluster.
func decide(cfg Config, self string, nodes []Node, have *state) plan {
	w, missing := want(cfg, self, nodes, have)
	p := plan{wanted: w, missing: missing}
	if missing != "" {
		return p
	}
	for _, c := range w.sysctls {
		if c.path == deviceRPFilter || c.path == deviceNo6 {
			p.deviceSysctls = append(p.deviceSysctls, c)
		} else {
			p.sysctls = append(p.sysctls, c)
		}
	}
	stays := p.decideDevice(have)
	p.decideAddresses(have, stays)
	p.decideRoutes(have, stays && have.device.Up)
	return p
}

// decideDevice tells whether the present device stays.
func (p *plan) decideDevice(have *state) (stays bool) {
	w := p.wanted.device
	stays = have.deviceFound && have.device.Fits && w != nil
	p.drop = have.deviceFound && !stays
	if w == nil {
		return stays
	}
	p.device = *w
	p.make = !stays
	if stays {
		p.up = !have.device.Up
		if have.device.MTU != w.MTU {
			p.mtu = w.MTU
		}
	}
	return stays
}

func (p *plan) decideAddresses(have *state, stays bool) {
	var there []netip.Prefix
	if stays {
		there = have.onDevice()
	}
	for _, a := range p.wanted.addresses {
		if !slices.Contains(there, a) {
			p.addAddresses = append(p.addAddresses, a)
		}
	}
	for _, a := range there {
		if !slices.Contains(p.wanted.addresses, a) {
			p.removeAddresses = append(p.removeAddresses, a)
		}
	}
}

// slot is what only one route of the overlay can be at: who replaces a route, replaces the one in its slot.
type slot struct {
	dst      netip.Prefix
	priority int
}

// decideRoutes plans one message for each route that is not as wanted. With the device, its routes are gone.
func (p *plan) decideRoutes(have *state, deviceWorks bool) {
	there := map[route.Route]bool{}
	for _, r := range have.routes {
		if r.Device != tunnelDevice || deviceWorks {
			there[r] = true
		}
	}
	wanted, slots := map[route.Route]bool{}, map[slot]route.Route{}
	for _, r := range p.wanted.routes {
		wanted[r] = true
		slots[slot{r.Dst, r.Priority}] = r
		if !there[r] || p.losesSource(r, have) {
			p.replaceRoutes = append(p.replaceRoutes, r)
		}
	}
	for _, r := range have.routes {
		if wanted[r] || !there[r] {
			continue
		}
		if successor, ok := slots[slot{r.Dst, r.Priority}]; ok && !there[successor] {
			continue // it will be replaced, without a moment in between
		}
		p.removeRoutes = append(p.removeRoutes, r)
	}
}

// losesSource tells whether a route that is there will be gone or changed, because the kernel removes routes whose preferred source
// disappears: the device with its addresses is made anew, or the address is added only now.
func (p *plan) losesSource(r route.Route, have *state) bool {
	return r.Source.IsValid() && p.drop && p.make
}
