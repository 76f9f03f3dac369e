package hostport

import "net/netip"

// Sandbox is what the node translates for one Pod sandbox.
type Sandbox struct {
	// ID is the container ID, Name ("namespace/pod") is for people.
	ID, Name string
	// HostIf is the node's end of the Pod's veth. Without one, 127.0.0.1 does not lead to the Pod.
	HostIf string
	// Addresses of the Pod on the pod network. The first of each family is what ports lead to.
	Addresses []netip.Addr
	Mappings  []Mapping
	// Masquerade are addresses on secondary networks with the length of their subnet: what leaves the node from there for another
	// subnet gets an address of the node.
	Masquerade []netip.Prefix
}

// address is the first address of a family.
func (s Sandbox) address(v6 bool) (netip.Addr, bool) {
	for _, a := range s.Addresses {
		if a := a.Unmap().WithZone(""); a.IsValid() && a.Is6() == v6 {
			return a, true
		}
	}
	return netip.Addr{}, false
}
