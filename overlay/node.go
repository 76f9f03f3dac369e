package overlay

import (
	"net/netip"
)

// Node is a node of the cluster as the overlay sees it.
type Node struct {
	// Name and UID as in the Kubernetes object: a node re-created under its name has another UID.
	Name, UID string
	// PodCIDRs are the prefixes of its Pods' addresses (Node.spec.podCIDRs), at most one per family is used.
	PodCIDRs []netip.Prefix
	// Addresses are its InternalIPs, in its own order; at most one per family is used.
	Addresses []netip.Addr
}

// podCIDR is the node's prefix of a family.
func (n Node) podCIDR(v6 bool) (netip.Prefix, bool) {
	for _, p := range n.PodCIDRs {
		if p.IsValid() && p.Addr().Unmap().Is6() == v6 {
			return p.Masked(), true
		}
	}
	return netip.Prefix{}, false
}

// address is the node's address of a family.
func (n Node) address(v6 bool) (netip.Addr, bool) {
	for _, a := range n.Addresses {
		if a := a.Unmap().WithZone(""); a.IsValid() && a.Is6() == v6 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// NodeAddress is the node's own address in one of its Pod prefixes: the first usable one, which no Pod gets. It is what processes of
// the node itself use as source towards Pods of other nodes. Prefixes of fewer than four addresses have none to spare.
func NodeAddress(podCIDR netip.Prefix) (netip.Addr, bool) {
	if !podCIDR.IsValid() || podCIDR.Addr().BitLen()-podCIDR.Bits() < 2 {
		return netip.Addr{}, false
	}
	return podCIDR.Masked().Addr().Next(), true
}
