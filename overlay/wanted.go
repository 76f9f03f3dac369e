package overlay

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// tunnelDevice stands for the index of Device in routes that are planned: it may not exist yet.
const tunnelDevice = -1

// lastResort is the metric of routes that refuse packets: whoever has another use for the same prefix, such as the bridge of the
// network that the cluster had before, goes first.
const lastResort = 1 << 30

// wanted is how the node should be.
type wanted struct {
	// device is nil when there is none.
	device *route.VXLAN
	// addresses are on the device: the node's own ones in its Pod prefixes.
	addresses []netip.Prefix
	routes    []route.Route
	sysctls   []sysctl

	// nodes, pods and own are for the nft table: who may encapsulate, whom Pods meet with their own address, who is masqueraded.
	nodes []netip.Addr
	pods  []netip.Prefix
	own   []netip.Prefix

	underlay            string
	underlayMTU, podMTU int
	reached             int
	problems            []string
}

// want decides from what the nodes are and what this one has. missing says what must come from outside before anything can be done.
func want(cfg Config, self string, nodes []Node, have *state) (w wanted, missing string) {
	me, others, missing := split(self, nodes)
	if missing != "" {
		return w, missing
	}
	p := picture{cfg: cfg, me: me, have: have, w: &w, taken: map[netip.Prefix]string{}}
	if missing := p.underlay(); missing != "" {
		return w, missing
	}
	p.home()
	for _, n := range others {
		p.reach(n)
	}
	p.sysctls()
	return w, ""
}

// split finds the node itself and puts the others into an order that does not depend on the list's.
func split(self string, nodes []Node) (me Node, others []Node, missing string) {
	found := false
	for _, n := range nodes {
		if n.Name == self {
			me, found = n, true
			continue
		}
		others = append(others, n)
	}
	slices.SortFunc(others, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	_, has4 := me.podCIDR(false)
	_, has6 := me.podCIDR(true)
	_, at4 := me.address(false)
	_, at6 := me.address(true)
	switch {
	case !found:
		missing = fmt.Sprintf("Node %s is not in the cluster yet", self)
	case !has4 && !has6:
		missing = fmt.Sprintf("Node %s has no podCIDR yet: kube-controller-manager gives it one when it runs with --allocate-node-cidrs and --cluster-cidr", self)
	case !at4 && !at6:
		missing = fmt.Sprintf("Node %s has no InternalIP yet: its kubelet reports it", self)
	}
	return me, others, missing
}

// picture is what want works on.
type picture struct {
	cfg  Config
	me   Node
	have *state
	w    *wanted
	// primary is the family that tunnels use when both ends have both.
	primary bool
	// room is the MTU of packets inside a tunnel over a family, by v6.
	room map[bool]int
	// taken are the prefixes that routes are wanted to, with the node's name.
	taken map[netip.Prefix]string
}

func (p *picture) problem(format string, a ...any) {
	p.w.problems = append(p.w.problems, fmt.Sprintf(format, a...))
}

// underlay works out by which interface and with which MTU the node reaches others.
func (p *picture) underlay() (missing string) {
	p.room = map[bool]int{}
	first := true
	for _, a := range p.me.Addresses {
		a := a.Unmap().WithZone("")
		if chosen, ok := p.me.address(a.Is6()); !ok || chosen != a {
			continue
		}
		l, ok := p.have.linkWith(a)
		if !ok {
			p.problem("no interface has the node's address %s: kubelet's --node-ip should be an address of the node", a)
			if l, ok = p.have.defaultLink(a.Is6()); !ok {
				continue
			}
		}
		mtu := l.MTU
		if p.cfg.MTU != 0 {
			mtu = p.cfg.MTU
		}
		mtu = min(mtu, 65535)
		if first {
			p.primary, p.w.underlay, p.w.underlayMTU, first = a.Is6(), l.Name, mtu, false
		}
		p.room[a.Is6()] = mtu - overhead(a.Is6())
	}
	if first {
		return fmt.Sprintf("no interface of the node has one of its addresses %v, nor a default route", p.me.Addresses)
	}
	p.w.podMTU = p.room[p.primary]
	if p.cfg.Encap == None {
		p.w.podMTU = p.w.underlayMTU
	}
	if _, v6 := p.me.podCIDR(true); v6 && p.w.podMTU < fallbackMTU {
		p.problem("Pods get an MTU of %d bytes, and IPv6 needs %d: %s has only %d", p.w.podMTU, fallbackMTU, p.w.underlay, p.w.underlayMTU)
	}
	return ""
}

// home is the node's own part: the device with the node's addresses, and an end for packets to addresses that no Pod has. Without
// that end they would follow the default route, and come back from a router that sends all of the prefix here.
func (p *picture) home() {
	if p.cfg.Encap != None {
		p.w.device = &route.VXLAN{Name: Device, Port: p.cfg.Port, MTU: p.room[p.primary], Group: linkGroup}
	}
	for _, v6 := range []bool{false, true} {
		cidr, ok := p.me.podCIDR(v6)
		if !ok {
			continue
		}
		p.taken[cidr] = p.me.Name
		p.w.routes = append(p.w.routes, route.Route{Dst: cidr, Kind: route.Unreachable, Priority: lastResort})
		p.w.pods = append(p.w.pods, cidr)
		if p.cfg.Masquerade {
			p.w.own = append(p.w.own, cidr)
		}
		if a, ok := NodeAddress(cidr); ok && p.w.device != nil {
			p.w.addresses = append(p.w.addresses, netip.PrefixFrom(a, a.BitLen()))
		}
		if a, ok := p.me.address(v6); ok {
			p.w.nodes = append(p.w.nodes, a)
		}
	}
	for _, v6 := range []bool{false, true} {
		if a, ok := p.me.address(v6); ok && !slices.Contains(p.w.nodes, a) {
			p.w.nodes = append(p.w.nodes, a)
		}
	}
}

// source is the node's own address of a family, which packets of its own to Pods of other nodes come from: those answer into the
// tunnel then.
func (p *picture) source(v6 bool) netip.Addr {
	for _, a := range p.w.addresses {
		if a.Addr().Is6() == v6 {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// reach gives one other node its routes, one for each family.
func (p *picture) reach(n Node) {
	for _, v6 := range []bool{false, true} {
		if a, ok := n.address(v6); ok {
			p.w.nodes = append(p.w.nodes, a)
		}
	}
	any := false
	for _, v6 := range []bool{false, true} {
		cidr, ok := n.podCIDR(v6)
		if !ok || !p.free(cidr, n) {
			continue
		}
		p.w.pods = append(p.w.pods, cidr)
		r, ok := p.routeTo(n, cidr)
		if !ok {
			continue
		}
		p.taken[cidr] = n.Name
		p.w.routes = append(p.w.routes, r)
		any = true
	}
	if any {
		p.w.reached++
	}
}

// free tells whether a prefix can be routed to a node, and reports why not.
func (p *picture) free(cidr netip.Prefix, n Node) bool {
	if holder, taken := p.taken[cidr]; taken {
		p.problem("Nodes %s and %s both have the podCIDR %s: Pods of %s are not reached", holder, n.Name, cidr, n.Name)
		return false
	}
	if own, ok := p.me.podCIDR(cidr.Addr().Is6()); ok && own.Overlaps(cidr) {
		p.problem("podCIDR %s of Node %s overlaps %s of this one: Pods of %s are not reached", cidr, n.Name, own, n.Name)
		return false
	}
	for _, a := range slices.Concat(n.Addresses, p.me.Addresses) {
		if cidr.Contains(a.Unmap().WithZone("")) {
			p.problem("podCIDR %s of Node %s contains a node's address, %s: its Pods are not reached", cidr, n.Name, a)
			return false
		}
	}
	return true
}

// routeTo decides how one prefix of a node is reached.
func (p *picture) routeTo(n Node, cidr netip.Prefix) (route.Route, bool) {
	v6 := cidr.Addr().Is6()
	r := route.Route{Dst: cidr, Kind: route.Unicast, Source: p.source(v6)}
	if p.cfg.Encap != GPE {
		if gateway, device, ok := p.onLink(n, v6); ok {
			r.Gateway, r.Device = gateway, device
			return r, true
		}
		if p.cfg.Encap == None {
			p.problem("Node %s (%v) is on no segment of this node: its Pods in %s are not reached without encapsulation; use encap %s", n.Name, n.Addresses, cidr, Auto)
			return r, false
		}
	}
	for _, outer := range []bool{p.primary, !p.primary} {
		local, ok := p.me.address(outer)
		remote, both := n.address(outer)
		room, usable := p.room[outer]
		if !ok || !both || !usable {
			continue
		}
		r.Device, r.Tunnel = tunnelDevice, route.Tunnel{VNI: uint32(p.cfg.VNI), Local: local, Remote: remote}
		if room < p.w.device.MTU {
			r.MTU = room
		}
		return r, true
	}
	p.problem("Node %s (%v) has no InternalIP of a family that this node (%v) has too: its Pods in %s are not reached", n.Name, n.Addresses, p.me.Addresses, cidr)
	return r, false
}

// onLink finds an address of a node that is on a segment of ours and can be the next hop for a family. IPv4 packets can go to an IPv6
// next hop, but not the other way round.
func (p *picture) onLink(n Node, v6 bool) (gateway netip.Addr, device int, ok bool) {
	for _, family := range []bool{v6, true} {
		if a, has := n.address(family); has {
			if l, near := p.have.segmentOf(a); near {
				return a, l.Index, true
			}
		}
	}
	return gateway, 0, false
}

func overhead(v6 bool) int {
	if v6 {
		return overhead6
	}
	return overhead4
}
