package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// origin is where an address came from.
type origin struct {
	// Kind is podCIDR, block, bound (an IPAddress), written (in a
	// configuration), or unknown.
	Kind   string `json:"origin"`
	Pool   string `json:"pool,omitempty"`
	Block  string `json:"block,omitempty"`     // name of the IPBlock
	Bound  string `json:"ipAddress,omitempty"` // name of the IPAddress
	Prefix string `json:"prefix,omitempty"`    // of the block or the podCIDR
	Owner  string `json:"ownerNode,omitempty"` // who may give it out
	Domain string `json:"domain"`
}

// origins finds where addresses came from: what gives addresses out, by
// address, so that a large cluster is looked up and not searched.
type origins struct {
	pools    map[string][]ipam.Pool // by domain
	blocks   map[place]*v1alpha1.IPBlock
	bound    map[place]*v1alpha1.IPAddress
	podCIDRs map[netip.Prefix]string // node
	// bits are the prefix lengths among blocks and podCIDRs.
	bits []int
}

// place is a prefix of a domain.
type place struct {
	domain string
	prefix netip.Prefix
}

func newOrigins(s *doctor.Snapshot) *origins {
	o := &origins{map[string][]ipam.Pool{}, map[place]*v1alpha1.IPBlock{}, map[place]*v1alpha1.IPAddress{}, map[netip.Prefix]string{}, nil}
	for _, object := range s.Pools {
		if p, err := ipam.ParsePool(object); err == nil {
			o.pools[p.Domain] = append(o.pools[p.Domain], p)
		}
	}
	bits := map[int]bool{}
	for i, b := range s.Blocks {
		if p, err := netip.ParsePrefix(b.Spec.CIDR); err == nil {
			o.blocks[place{b.Spec.Domain, p.Masked()}] = &s.Blocks[i]
			bits[p.Bits()] = true
		}
	}
	for i, b := range s.Addresses {
		if a, err := netip.ParseAddr(b.Spec.Address); err == nil {
			o.bound[place{b.Spec.Domain, netip.PrefixFrom(a, a.BitLen())}] = &s.Addresses[i]
		}
	}
	for _, n := range s.Nodes {
		for _, text := range n.Spec.PodCIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				o.podCIDRs[p.Masked()] = n.Name
				bits[p.Bits()] = true
			}
		}
	}
	o.bits = sortedKeys(bits)
	slices.Reverse(o.bits) // the longest first
	return o
}

// of tells where a held address came from.
func (o *origins) of(h doctor.Holding) origin {
	found := origin{Kind: "unknown", Domain: h.Domain}
	if h.Default {
		for prefix := range o.around(h.Address) {
			if node, ok := o.podCIDRs[prefix]; ok {
				found.Kind, found.Prefix, found.Owner = "podCIDR", prefix.String(), node
			}
		}
		return found
	}
	if !h.Managed {
		found.Kind = "written"
		return found
	}
	found.Pool = o.pool(h.Domain, h.Address)
	for prefix := range o.around(h.Address) {
		if b := o.blocks[place{h.Domain, prefix}]; b != nil {
			found.Kind, found.Block, found.Prefix, found.Owner = "block", b.Name, b.Spec.CIDR, b.Spec.Owner.Node
			break
		}
	}
	if b := o.bound[place{h.Domain, netip.PrefixFrom(h.Address, h.Address.BitLen())}]; b != nil {
		found.Kind, found.Bound, found.Owner = "bound", b.Name, b.Spec.Owner.Node
		found.Pool = cmp.Or(b.Spec.Pool, found.Pool)
	}
	return found
}

// around yields the prefixes that an address is in, of the lengths that occur.
func (o *origins) around(a netip.Addr) func(yield func(netip.Prefix) bool) {
	return func(yield func(netip.Prefix) bool) {
		for _, bits := range o.bits {
			if p, err := a.Prefix(bits); err == nil && !yield(p) {
				return
			}
		}
	}
}

// pool is the pool of a domain that gives out an address, else one whose
// subnet has it, else "".
func (o *origins) pool(domain string, a netip.Addr) string {
	within := ""
	for _, p := range o.pools[domain] {
		if p.Contains(a) {
			return p.Name
		}
		if p.Prefix.Contains(a) {
			within = p.Name
		}
	}
	return within
}

// word is the origin for a table.
func (o origin) word() string {
	switch o.Kind {
	case "podCIDR":
		return "podCIDR " + o.Prefix
	case "block":
		return "block " + o.Prefix
	case "bound":
		return "IPAddress"
	case "written":
		return "configuration"
	}
	return "unknown"
}

// sentence is the origin for `address explain`.
func (o origin) sentence() string {
	switch o.Kind {
	case "podCIDR":
		return fmt.Sprintf("from podCIDR %s of node %s", o.Prefix, o.Owner)
	case "block":
		return fmt.Sprintf("from IPBlock %s (%s) leased to node %s, pool %s, domain %s", o.Block, o.Prefix, o.Owner, cmp.Or(o.Pool, "-"), o.Domain)
	case "bound":
		said := fmt.Sprintf("bound by IPAddress %s, pool %s, domain %s", o.Bound, cmp.Or(o.Pool, "-"), o.Domain)
		if o.Block != "" {
			said += fmt.Sprintf(", inside IPBlock %s (%s)", o.Block, o.Prefix)
		}
		return said
	case "written":
		return "written in the network's definition, nobody gives it out"
	}
	return "of domain " + o.Domain + ": no IPBlock, IPAddress or podCIDR has it"
}
