package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// planned is one interface that a Pod is going to get.
type planned struct {
	sel   Selection
	net   Network
	wants []ipam.Want
	// fixed are addresses that no pool manages; grants all that it got.
	fixed, grants []ipam.Grant
	// keep are prefixes that the pod network's interface leads to when it has not the default route.
	keep []netip.Prefix
	// others are destinations that interfaces outside the plan lead to. had are the addresses of the interface in whose place this one is
	// made; nil when there is none.
	others []netip.Prefix
	had    *holding
	// was are the routes of the pod network's interface as a plugin of others left them.
	was []kind.Route
	// answered tells that the network's giver has said what fixed is, and resolvers.
	answered  bool
	resolvers ipam.DNS
	// written is the element as the annotation has it: sel has what kubelet and the definition say too.
	written string
	// resource is that of the device sel.DeviceID, "" for a network without.
	resource string
}

// planner resolves what a Pod asks for. It changes nothing.
type planner struct {
	definitions Definitions
	pools       Pools
	namespaces  Namespaces
	podNetwork  PodNetwork
	devices     Devices
	cards       Cards
	// primary is nil when Pods are on tsunagu's own network; clusterNetwork names another default network, "" for none.
	primary        Primary
	clusterNetwork string
	everyPod       EveryPod
	// files are folders of configurations that definitions without one may stand in.
	files []string
}

// plan lists the interfaces of a Pod: the pod network's first, then what the annotation selects. Everything that can be refused
// without trying is refused here, before anything was made.
func (p planner) plan(ctx context.Context, pod Pod, network, ifName string) ([]planned, error) {
	devices := &handout{p.devices, pod, map[string]int{}}
	first, err := p.firstInterface(ctx, pod, network, ifName, devices)
	if err != nil {
		return nil, err
	}
	selections, err := p.everyPod.of(pod)
	if err != nil {
		return nil, err
	}
	all := []planned{first}
	for _, s := range selections {
		one, err := p.resolve(ctx, pod, s, devices)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.where(), err)
		}
		all = append(all, one)
	}
	return all, nil
}

// podInterface is the interface on the pod network.
func (p planner) podInterface(network, ifName string) (planned, error) {
	one := planned{
		sel:  Selection{IfName: ifName, WantsDefault: true},
		net:  Network{Ref: network, Spec: kind.Pod{}, MTU: p.podNetwork.MTU()},
		keep: p.podNetwork.Prefixes(),
	}
	for _, pool := range p.podNetwork.Pools() {
		one.wants = append(one.wants, ipam.Want{Pool: pool})
	}
	if len(one.wants) == 0 {
		return one, notReady("this node has no podCIDR",
			"let the controller manager allocate them (--allocate-node-cidrs, --cluster-cidr), or set spec.podCIDRs of the Node")
	}
	return one, nil
}

func (p planner) resolve(ctx context.Context, pod Pod, s Selection, devices *handout) (planned, error) {
	one := planned{sel: s, written: s.element()}
	d, err := p.definitions.Definition(ctx, s.Namespace, s.Name)
	if errors.Is(err, ErrNotFound) {
		return one, unknownNetwork(s, pod.Namespace, p.definitions.All())
	}
	if err != nil {
		return one, err
	}
	if !s.ByCluster {
		if err := p.namespaces.permit(pod.Namespace, d); err != nil {
			return one, err
		}
	}
	if err := p.fromDisk(&d); err != nil {
		return one, err
	}
	if err := p.cards.put(&d); err != nil {
		return one, err
	}
	if err := devices.give(ctx, &d); err != nil {
		return one, err
	}
	if d.Resource != "" { // kubelet's choice comes before the annotation's
		s.DeviceID, one.sel.DeviceID, one.resource = d.Device, d.Device, d.Resource
	}
	if one.net, err = parseDefinition(d, s.pluginKeys()); err != nil {
		return one, err
	}
	if len(s.IPs) == 0 {
		s.IPs, one.sel.IPs = one.net.IPs, one.net.IPs
	}
	if err := one.capable(); err != nil {
		return one, err
	}
	if one.net.Foreign() || one.net.Giver != nil {
		return one, one.claim(pod)
	}
	if one.wants, one.fixed, err = s.wants(ctx, one.net, p.pools); err != nil {
		return one, err
	}
	if err := one.leasable(); err != nil {
		return one, err
	}
	return one, one.claim(pod)
}

// attachments makes complete attachments of interfaces that have their addresses, and decides who owns the default routes: a network
// that the Pod's annotation says so of, else the pod network. Where that one has not the default route it goes on leading to Pods and
// Services, so that the cluster's DNS and probes work.
func attachments(containerID string, all []planned) ([]kind.Attachment, error) {
	var list []kind.Attachment
	owned := map[bool]bool{} // by Is4
	for _, one := range slices.Backward(all) {
		a := kind.Attachment{
			ContainerID: containerID, IfName: one.sel.IfName, Network: one.net.Ref, Spec: one.net.Spec,
			MAC: one.sel.MAC, MTU: one.net.MTU, Leave: one.others,
		}
		if len(a.MAC) == 0 {
			a.MAC = one.net.MAC
		}
		for _, g := range one.grants {
			if len(a.MAC) == 0 && !isDevice(one.net.Spec) {
				a.MAC = g.MAC // of the claim, or as the pool derives it
			}
			a.Addresses = append(a.Addresses, kind.Address{Prefix: g.Address, Gateway: g.Gateway, Quiet: g.Shared})
			for _, r := range g.Routes {
				route := kind.Route{Dst: r.Dst, Gateway: r.Gateway, MTU: r.MTU, AdvMSS: r.AdvMSS, Priority: r.Priority, Table: r.Table, Scope: r.Scope}
				if !slices.ContainsFunc(a.Routes, func(o kind.Route) bool {
					return o.Dst == route.Dst && o.Gateway == route.Gateway && o.Priority == route.Priority && o.Table == route.Table
				}) {
					a.Routes = append(a.Routes, route)
				}
			}
		}
		if one.leased() || one.net.Foreign() {
			if err := one.reserve(owned); err != nil {
				return nil, err
			}
		} else if one.sel.WantsDefault {
			gateways, err := one.defaults(a)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", one.sel.where(), err)
			}
			for _, gw := range gateways {
				if one.sel.Index == 0 && owned[gw.Is4()] {
					continue // the pod network has what nobody else asked for
				}
				if owned[gw.Is4()] {
					return nil, refusef(ReasonBadDefaultRoute, "keep default-route on one of them",
						"%s: another network of the annotation has the default route of that family already", one.sel.where())
				}
				owned[gw.Is4()] = true
				a.DefaultRoute = append(a.DefaultRoute, gw)
			}
		}
		for _, prefix := range one.keep {
			if owned[prefix.Addr().Is4()] && !leaves(a, prefix.Addr().Is4()) && !connected(list, prefix) {
				a.Routes = append(a.Routes, kind.Route{Dst: prefix})
			}
		}
		list = append(list, a)
	}
	slices.Reverse(list)
	return list, nil
}

// reserve keeps the default route for an interface whose gateway is not known yet.
func (p planned) reserve(owned map[bool]bool) error {
	if !p.sel.WantsDefault {
		return nil
	}
	families := []bool{true}
	if len(p.sel.DefaultRoute) > 0 {
		families = families[:0]
		for _, gw := range p.sel.DefaultRoute {
			families = append(families, gw.Is4())
		}
	}
	for _, v4 := range families {
		if owned[v4] && p.sel.Index == 0 {
			continue // it makes way (leaveBy)
		}
		if owned[v4] {
			return refusef(ReasonBadDefaultRoute, "keep default-route on one of them",
				"%s: another network of the annotation has the default route of that family already", p.sel.where())
		}
		owned[v4] = true
	}
	return nil
}

// isDevice tells whether the interface has the MAC of something that exists already (host-device, vlan, ipvlan), unless another is asked for.
func isDevice(s kind.Spec) bool {
	return kind.KeepsMAC(s)
}

// leaves tells whether an attachment has the default route of a family.
func leaves(a kind.Attachment, v4 bool) bool {
	return slices.ContainsFunc(a.DefaultRoute, func(gw netip.Addr) bool { return gw.Is4() == v4 })
}

// connected tells whether a prefix is the subnet of one of the attachments, or one of its routes.
func connected(list []kind.Attachment, prefix netip.Prefix) bool {
	return slices.ContainsFunc(list, func(a kind.Attachment) bool {
		return slices.ContainsFunc(a.Addresses, func(o kind.Address) bool { return o.Prefix.Masked() == prefix }) ||
			slices.ContainsFunc(a.Routes, func(o kind.Route) bool { return o.Dst == prefix })
	})
}

// defaults are the gateways by which the Pod leaves when this interface has the default route.
func (p planned) defaults(a kind.Attachment) ([]netip.Addr, error) {
	if len(p.sel.DefaultRoute) == 0 {
		gateways := p.net.Spec.DefaultGateways(a.Addresses)
		for _, address := range a.Addresses { // kinds without a gateway of their own leave by the subnet's
			gw := address.Gateway
			if gw.IsValid() && !slices.ContainsFunc(gateways, func(o netip.Addr) bool { return o.Is4() == gw.Is4() }) {
				gateways = append(gateways, gw)
			}
		}
		if len(gateways) == 0 && p.sel.Index > 0 {
			return nil, refusef(ReasonBadDefaultRoute, "name it in default-route, or give the network's subnet a gateway",
				"default-route is asked for without a gateway, and the network has none")
		}
		return gateways, nil
	}
	for _, gw := range p.sel.DefaultRoute {
		reached := slices.ContainsFunc(a.Addresses, func(o kind.Address) bool {
			return o.Prefix.Masked().Contains(gw) || o.Gateway == gw || gw.Is6() && gw.IsLinkLocalUnicast() && o.Prefix.Addr().Is6()
		})
		if !reached && p.net.Spec.Type() != "ptp" {
			var have []string
			for _, o := range a.Addresses {
				have = append(have, o.Prefix.String())
			}
			return nil, refusef(ReasonBadDefaultRoute, "name a gateway inside the network's subnet",
				"default-route %s cannot be reached from the interface's addresses (%s)", gw, joined(have))
		}
	}
	return p.sel.DefaultRoute, nil
}

func joined(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
