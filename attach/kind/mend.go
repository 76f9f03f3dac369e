package kind

import (
	"context"
	"errors"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Mend puts back what leads from the node to Pods on routed veths and is missing: somebody flushed the node's routes or neighbours, or
// set a link down and up. It returns the addresses that were out of reach. What is there, whatever it says, is not touched: an
// address may have found another way meanwhile. Records of sandboxes that are going are fine.
func (w *Wirer) Mend(ctx context.Context, owned []Record) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	owned = native(owned)
	node, err := w.borrow()
	if err != nil {
		return nil, err
	}
	defer w.giveIdle(node)
	have, err := lookAround(node)
	if err != nil {
		return nil, err
	}
	var ops []link.Op
	var lost []netip.Addr
	for _, r := range owned {
		more, gone := have.missing(r)
		ops, lost = append(ops, more...), append(lost, gone...)
	}
	if len(ops) > 0 {
		err = node.Apply(ops...)
	}
	return lost, errors.Join(err, w.mendTrunks(node, have.links, owned), w.mendPorts(node, have.links, owned), w.mendPlugs(ctx, owned))
}

// surroundings are the node's links, routes to single addresses and permanent neighbours.
type surroundings struct {
	links map[string]link.Link
	ways  map[netip.Addr]bool
	near  map[neighbourKey]bool
}

type neighbourKey struct {
	index int
	ip    netip.Addr
}

func lookAround(node *link.Conn) (s surroundings, err error) {
	s = surroundings{map[string]link.Link{}, map[netip.Addr]bool{}, map[neighbourKey]bool{}}
	links, err := node.Links()
	if err != nil {
		return s, err
	}
	routes, err := node.Routes()
	if err != nil {
		return s, err
	}
	neighbours, err := node.Neighbours()
	if err != nil {
		return s, err
	}
	for _, l := range links {
		s.links[l.Name] = l
	}
	for _, r := range routes {
		if r.InMain() && r.Dst.IsSingleIP() {
			s.ways[r.Dst.Addr()] = true
		}
	}
	for _, n := range neighbours {
		if n.Permanent {
			s.near[neighbourKey{n.Index, n.IP}] = true
		}
	}
	return s, nil
}

// missing is what to add for a record, and the addresses that have no route.
func (s surroundings) missing(r Record) (ops []link.Op, lost []netip.Addr) {
	end, exists := s.links[r.HostIf]
	mac, err := ParseMAC(r.MAC)
	if !exists || err != nil {
		return nil, nil
	}
	for _, dst := range r.HostRoutes {
		ip := dst.Addr()
		if !s.ways[ip] {
			if !end.Up {
				ops = append(ops, link.Up(end.Name, end.Index).Forgiving())
				end.Up = true
			}
			ops = append(ops, link.AddRoute(end.Name, link.Route{Index: end.Index, Dst: dst}).Forgiving())
			lost = append(lost, ip)
		}
		if !s.near[neighbourKey{end.Index, ip}] {
			ops = append(ops, link.SetNeighbour(end.Name, end.Index, ip, mac).Forgiving())
		}
	}
	return ops, lost
}
