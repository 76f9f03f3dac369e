package main

import (
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kube"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// podNetwork is the network that every Pod is on (attach.PodNetwork): the node's prefixes, and the overlay's MTU.
type podNetwork struct {
	node     string
	nodes    *kube.Nodes
	services *kube.Services
	overlay  *overlay.Overlay
	fixed    []netip.Prefix
}

// Pools gives the first prefix of each family; Kubernetes allows no more.
func (p podNetwork) Pools() []ipam.Pool {
	node, _ := p.nodes.Node(p.node)
	var pools []ipam.Pool
	for i, prefix := range node.PodCIDRs {
		if !slices.ContainsFunc(node.PodCIDRs[:i], func(o netip.Prefix) bool { return o.Addr().Is4() == prefix.Addr().Is4() }) {
			pools = append(pools, ipam.LocalPool(ipam.PoolName(ipam.PodDomain, prefix), prefix))
		}
	}
	return pools
}

// MTU of Pods' interfaces.
func (p podNetwork) MTU() int { return p.overlay.PodMTU() }

// Prefixes are what Pods reach by the pod network whatever their default route is: all Pods, the node itself (probes come from there),
// and Services.
func (p podNetwork) Prefixes() []netip.Prefix {
	if len(p.fixed) > 0 {
		return p.fixed
	}
	prefixes := p.services.Prefixes()
	byFamily := map[bool][]netip.Prefix{}
	for _, node := range p.nodes.List() {
		for _, prefix := range node.PodCIDRs {
			byFamily[prefix.Addr().Is4()] = append(byFamily[prefix.Addr().Is4()], prefix)
		}
		for _, a := range node.Addresses {
			if node.Name != p.node {
				continue
			}
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, all := range byFamily {
		prefixes = append(prefixes, cover(all))
	}
	return prefixes
}

// cover is the smallest prefix that has all the others in it, widened to /16 (IPv4) or /48 (IPv6), the usual sizes of a cluster, so that
// nodes that join later are in it too.
func cover(all []netip.Prefix) netip.Prefix {
	usual := 16
	if !all[0].Addr().Is4() {
		usual = 48
	}
	p := netip.PrefixFrom(all[0].Addr(), min(usual, all[0].Bits())).Masked()
	for _, o := range all {
		for !p.Contains(o.Addr()) {
			p = netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
		}
	}
	return p
}
