package oracle

import (
	"fmt"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Leak is what does not fit when nothing is under way any more.
type Leak struct {
	Use
	// Unknown: somebody uses an address that is not allocated to anybody (the
	// next ADD may get it). Else it is allocated and nobody uses it.
	Unknown bool
}

func (l Leak) String() string {
	if l.Unknown {
		return fmt.Sprintf("%s is used by %v and not allocated", l.where(), l.Holder)
	}
	return fmt.Sprintf("%s is allocated to %v, which does not use it", l.where(), l.Holder)
}

// Settled compares what is allocated with who lives, at a moment at which no
// ADD or DEL is under way and agents had the time to bring the API server up to
// date. Allocations that do not say whose they are (Holder zero but for the
// node) fit any holder.
func Settled(allocated, live []Use) (out []Leak) {
	have := map[place][]Use{}
	for _, u := range live {
		have[u.where()] = append(have[u.where()], u)
	}
	known := map[place][]Use{}
	for _, u := range allocated {
		known[u.where()] = append(known[u.where()], u)
		if !slices.ContainsFunc(have[u.where()], func(l Use) bool { return fits(u, l) }) {
			out = append(out, Leak{Use: u})
		}
	}
	for _, l := range live {
		if !slices.ContainsFunc(known[l.where()], func(u Use) bool { return fits(u, l) }) {
			out = append(out, Leak{Use: l, Unknown: true})
		}
	}
	slices.SortStableFunc(out, func(x, y Leak) int { return x.where().compare(y.where()) })
	return out
}

func fits(allocated, live Use) bool {
	anonymous := allocated.ContainerID == "" && allocated.PodUID == "" && allocated.Pod == ""
	switch {
	case allocated.Node != "" && live.Node != "" && allocated.Node != live.Node:
		return false
	case anonymous:
		return true
	}
	return allocated.same(live.Holder)
}

// Held is what the agents of nodes say that they have given out.
func Held(node, domain string, held []ipam.Holding) (out []Use) {
	for _, h := range held {
		for _, g := range h.Grants {
			out = append(out, Use{Domain: domain, Address: g.Address.Addr(), Holder: HolderOf(node, h.Owner)})
		}
	}
	return out
}

// HolderOf is an interface as the allocator of a node knows it.
func HolderOf(node string, o ipam.Owner) Holder {
	return Holder{Node: node, Pod: o.Namespace + "/" + o.Pod, PodUID: o.UID, ContainerID: o.ContainerID, IfName: o.IfName}
}

// Allocated is what the objects of the API server say: of a block its used
// bitmap, which its owner writes a few seconds late and without names, of a
// bound address its owner. Addresses kept for a claim or reserved, which no
// interface uses now, are left out.
func Allocated(blocks []ipam.Block, addresses []ipam.Address) (out []Use) {
	bound := map[place]bool{}
	for _, x := range addresses {
		if x.NodeUID == "" && x.Owner.ContainerID == "" {
			continue
		}
		u := Use{Domain: x.Domain, Address: x.Address, Holder: HolderOf(x.Node, x.Owner)}
		bound[u.where()] = true
		out = append(out, u)
	}
	for _, b := range blocks {
		x := b.Prefix.Addr()
		for place := 0; b.Prefix.Contains(x) && place < 64; place, x = place+1, x.Next() {
			u := Use{Domain: b.Domain, Address: x, Holder: Holder{Node: b.Node}}
			if b.Used&(1<<place) != 0 && !bound[u.where()] {
				out = append(out, u)
			}
		}
	}
	return out
}
