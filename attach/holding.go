package attach

import (
	"context"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// holding are the addresses of an interface in whose place another is about to be made. Both have theirs until it is decided which stays.
type holding struct {
	owner     ipam.Owner
	addresses []netip.Addr
	grants    []ipam.Grant
	// taken tells that the other interface has its addresses too.
	taken bool
}

// holds are the addresses of an interface by its key.
func (s *Server) holds(key ipam.Key) *holding {
	h := &holding{owner: ipam.Owner{Key: key}}
	all := s.Addresses.Held()
	if i := slices.IndexFunc(all, func(o ipam.Holding) bool { return o.Owner.Key == key }); i >= 0 {
		h.owner, h.grants = all[i].Owner, all[i].Grants
		for _, g := range h.grants {
			h.addresses = append(h.addresses, g.Address.Addr())
		}
	}
	return h
}

// yieldAddresses gives back what a planned interface has taken; what the one has that it is to replace stays.
func (s *Server) yieldAddresses(ctx context.Context, record Record, p *planned) error {
	p.grants = nil
	if p.had == nil {
		return s.Addresses.Free(ctx, ipam.Key{ContainerID: record.ContainerID, IfName: p.sel.IfName})
	}
	p.had.taken = false
	return s.Addresses.Keep(ctx, p.had.owner, p.had.addresses)
}

// keepAddresses decides for the new interface.
func (s *Server) keepAddresses(ctx context.Context, record Record, p *planned) error {
	if p.had == nil {
		return nil
	}
	var stay []netip.Addr
	for _, g := range p.grants {
		stay = append(stay, g.Address.Addr())
	}
	return s.Addresses.Keep(ctx, p.owner(record), stay)
}
