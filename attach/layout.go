package attach

import (
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/dhcp"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// layout is what an interface gets of its leases. Destinations that other interfaces lead to stay theirs, unless the routes have a
// metric of their own; so does the default route, unless the Pod wants to leave by this interface.
func layout(use dhcp.Use, leases []dhcp.Lease, taken []netip.Prefix) (to kind.Layout, dns ipam.DNS, err error) {
	for _, l := range leases {
		to.Addresses = append(to.Addresses, kind.Address{Prefix: l.Address, Gateway: l.Gateway})
		routes := slices.Clone(l.Routes)
		if l.Gateway.IsValid() {
			routes = append(routes, ipam.Route{Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: l.Gateway})
		}
		if use.Default {
			if routes, err = leaveBy(routes, use, l.Address.Addr()); err != nil {
				return to, dns, err
			}
		}
		for _, r := range routes {
			isDefault := r.Dst.Bits() == 0
			if isDefault && !use.Default && use.Metric == 0 || !isDefault && use.Metric == 0 && slices.Contains(taken, r.Dst) || r.Dst == l.Address.Masked() {
				continue
			}
			for _, one := range reached(r, l.Address, use.Metric) {
				if !slices.ContainsFunc(to.Routes, func(o kind.Route) bool { return o.Dst == one.Dst }) {
					to.Routes = append(to.Routes, one)
				}
			}
		}
		if use.MTU && l.MTU > 0 && (to.MTU == 0 || l.MTU < to.MTU) {
			to.MTU = l.MTU
		}
		dns.Nameservers = append(dns.Nameservers, l.DNS.Nameservers...)
		dns.Search = append(dns.Search, l.DNS.Search...)
		if dns.Domain == "" {
			dns.Domain = l.DNS.Domain
		}
	}
	return to, dns, nil
}

// leaveBy puts the default route that the Pod's annotation names in place of the server's.
func leaveBy(routes []ipam.Route, use dhcp.Use, of netip.Addr) ([]ipam.Route, error) {
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if of.Is6() {
		everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	for _, gw := range use.Gateways {
		if gw.Is4() == of.Is4() {
			routes = slices.DeleteFunc(routes, func(r ipam.Route) bool { return r.Dst.Bits() == 0 })
			return append(routes, ipam.Route{Dst: everywhere, Gateway: gw}), nil
		}
	}
	has := slices.ContainsFunc(routes, func(r ipam.Route) bool { return r.Dst.Bits() == 0 })
	if use.Needed && of.Is4() && len(use.Gateways) == 0 && !has { // routers speak for themselves in IPv6 (RFC 4861)
		return nil, refusef(ReasonBadDefaultRoute, "name it in default-route, or let the DHCP server send a router (option 3)",
			"default-route is asked for without a gateway, and the DHCP server sends none")
	}
	return routes, nil
}

// reached is a route, after one to its gateway when that is outside the subnet (RFC 3442).
func reached(r ipam.Route, subnet netip.Prefix, metric int) []kind.Route {
	route := kind.Route{Dst: r.Dst, Gateway: r.Gateway, Priority: metric}
	if !r.Gateway.IsValid() {
		link := 253 // RT_SCOPE_LINK
		route.Scope = &link
		return []kind.Route{route}
	}
	if subnet.Contains(r.Gateway) || r.Gateway.IsLinkLocalUnicast() && r.Gateway.Is6() {
		return []kind.Route{route}
	}
	link := 253
	return []kind.Route{{Dst: netip.PrefixFrom(r.Gateway, r.Gateway.BitLen()), Priority: metric, Scope: &link}, route}
}
