package kind

import (
	"net"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// nodeMAC is the hardware address of the node's end of every routed veth: always the same, so that a Pod's neighbour entry for its
// gateway never changes. It is locally administered.
var nodeMAC = net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}

// routedVeth makes the veth of pod and ptp: both are the node's router at the end of a wire.
func routedVeth(t *transaction, j *job) link.Op {
	return link.NewVeth(
		link.End{Name: j.hostIf, MAC: nodeMAC, MTU: j.mtu},
		link.End{Name: j.IfName, MAC: j.mac, MTU: j.mtu, Group: link.Group, NS: t.ns},
	)
}

// routedNode leads from the node to the Pod: a route to each address, a neighbour that never needs asking, and the gateway addresses
// on the node's end. IPv4 has no address there unless the network names one; IPv6 has fe80::1.
func routedNode(j *job) []link.Op {
	var ops []link.Op
	added := map[netip.Addr]bool{}
	for _, a := range j.addresses {
		ip := a.Prefix.Addr()
		gw := a.Gateway
		if _, pod := j.Spec.(Pod); pod || !gw.IsValid() {
			gw = linkGateway(ip)
		}
		if gw != PodGateway4 && !added[gw] {
			added[gw] = true
			ops = append(ops, link.AddAddress(j.hostIf, j.hostLink, gatewayPrefix(gw), link.AddressOptions{}).Forgiving())
		}
		ops = append(ops,
			link.ReplaceRoute(j.hostIf, link.Route{Index: j.hostLink, Dst: host(a.Prefix)}),
			link.SetNeighbour(j.hostIf, j.hostLink, ip, j.inside.MAC))
	}
	return ops
}

func gatewayPrefix(gw netip.Addr) netip.Prefix {
	if gw.IsLinkLocalUnicast() && gw.Is6() {
		return netip.PrefixFrom(gw, 64)
	}
	return netip.PrefixFrom(gw, gw.BitLen())
}

// routedRecord adds the node's end to a record.
func routedRecord(j *job, w *Wired) {
	w.HostIf, w.HostMAC = j.hostIf, nodeMAC.String()
	for _, a := range j.addresses {
		w.HostRoutes = append(w.HostRoutes, host(a.Prefix))
	}
}

// alonePrefixes are addresses without a subnet: everything else is behind the gateway.
func alonePrefixes(addresses []Address) []Address {
	alone := make([]Address, len(addresses))
	for i, a := range addresses {
		alone[i] = Address{Prefix: host(a.Prefix), Gateway: linkGateway(a.Prefix.Addr())}
	}
	return alone
}

func (s Pod) link() (net.HardwareAddr, int)               { return nil, s.MTU }
func (Pod) routed() bool                                  { return true }
func (Pod) prepare(t *transaction, j *job) error          { return t.forward(j) }
func (Pod) create(t *transaction, j *job) (link.Op, bool) { return routedVeth(t, j), true }
func (Pod) finish(_ *transaction, j *job) []link.Op       { return routedNode(j) }
func (Pod) record(j *job, w *Wired)                       { routedRecord(j, w) }
func (s PTP) link() (net.HardwareAddr, int)               { return nil, s.MTU }
func (PTP) routed() bool                                  { return true }
func (PTP) prepare(t *transaction, j *job) error          { return t.forward(j) }
func (PTP) create(t *transaction, j *job) (link.Op, bool) { return routedVeth(t, j), true }
func (PTP) finish(_ *transaction, j *job) []link.Op       { return routedNode(j) }
func (PTP) record(j *job, w *Wired)                       { routedRecord(j, w) }

// DefaultGateways are the addresses' gateways; a family whose addresses have none leaves by the link-local one.
func (PTP) DefaultGateways(addresses []Address) []netip.Addr {
	var all []netip.Addr
	for _, a := range addresses {
		if a.Gateway.IsValid() {
			all = append(all, a.Gateway)
		}
	}
	for _, a := range addresses {
		all = append(all, linkGateway(a.Prefix.Addr()))
	}
	return perFamily(all)
}

// ownRoutes lead to the subnet over the node, where its other members are.
func (s PTP) ownRoutes(a *Attachment) []Route {
	link := scopeLink
	var all []Route
	for _, address := range a.Addresses {
		gw := address.Gateway
		if gw.IsValid() {
			all = append(all, Route{Dst: netip.PrefixFrom(gw, gw.BitLen()), Scope: &link})
		} else {
			gw = linkGateway(address.Prefix.Addr())
		}
		if !address.Prefix.IsSingleIP() {
			all = append(all, Route{Dst: address.Prefix.Masked(), Gateway: gw})
		}
	}
	return all
}
