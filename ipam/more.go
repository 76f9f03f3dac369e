package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// TakeMore gives an interface addresses beside those that it has, all of them
// or none: one is about to be made in the place of another. Keep says later
// which of them stay. An address that is asked for and that the interface has
// already is given to it again. Until Keep is called a second TakeMore gives
// still more; Free ends all.
func (a *Allocator) TakeMore(ctx context.Context, owner Owner, wants []Want) ([]Grant, error) {
	return a.take(ctx, owner, wants, true)
}

// Keep takes back what an interface has, but for some addresses. Owner is whose
// the interface is from then on. Without any of its addresses it is Free. Call
// it when nothing has the others any more.
func (a *Allocator) Keep(ctx context.Context, owner Owner, addresses []netip.Addr) error {
	return a.retain(ctx, owner, func(s *slot) bool { return slices.Contains(addresses, s.Address.Addr()) })
}

// Recount gives an interface the addresses that it has already in the domain of the wants, all of which are static, and takes them back in
// any other: the domain in which a network's addresses are counted has changed. An address that somebody has there is a Refusal, and then
// nothing is changed.
func (a *Allocator) Recount(ctx context.Context, owner Owner, wants []Want) error {
	if _, err := a.TakeMore(ctx, owner, wants); err != nil {
		return err
	}
	return a.retain(ctx, owner, func(s *slot) bool {
		return !slices.ContainsFunc(wants, func(w Want) bool { return w.Static == s.Address.Addr() && w.Pool.Domain != s.domain })
	})
}

// retain takes back what an interface has, but for some of it.
func (a *Allocator) retain(ctx context.Context, owner Owner, stays func(*slot) bool) error {
	a.mu.Lock()
	h := a.held[owner.Key]
	if h == nil {
		a.mu.Unlock()
		return nil
	}
	stay, gone := h.split(stays)
	if len(stay) == 0 {
		a.mu.Unlock()
		return a.Free(ctx, owner.Key)
	}
	defer a.mu.Unlock()
	if len(gone) == 0 && h.owner == owner {
		return nil
	}
	now := time.Now()
	for i := range gone {
		s := &gone[i]
		if s.bound {
			if err := a.condemn(s.ended(owner.Key)); err != nil {
				return fmt.Errorf("free some addresses of %s: %w", owner.Key, err)
			}
		} else if s.rest > 0 && !s.frozen {
			if err := a.logRest(s, now); err != nil {
				return fmt.Errorf("free some addresses of %s: %w", owner.Key, err)
			}
		}
	}
	n := h.addresses()
	next := &held{owner: owner, slots: append(stay, h.slots[n:]...)}
	if err := a.record(next); err != nil {
		for _, s := range gone {
			if s.bound {
				delete(a.ending, objectName(s.domain, s.Address.Addr()))
			}
		}
		return err
	}
	a.forget(&held{owner: owner, slots: gone}, now)
	a.held[owner.Key] = next // tokens too many are taken back by recharge
	return nil
}

// split parts the addresses of a holding into those that stay and the others.
func (h *held) split(stays func(*slot) bool) (kept, gone []slot) {
	for _, s := range h.slots[:h.addresses()] {
		if stays(&s) {
			kept = append(kept, s)
		} else {
			gone = append(gone, s)
		}
	}
	return kept, gone
}

// over is a holding that has what is new beside what was there before; what is
// in both is as it is now.
func (h *held) over(before *held) *held {
	if before == nil {
		return h
	}
	all := &held{owner: h.owner}
	has := func(slots []slot, s slot) bool {
		return slices.ContainsFunc(slots, func(o slot) bool { return o.domain == s.domain && o.Address.Addr() == s.Address.Addr() })
	}
	n, m := before.addresses(), h.addresses()
	for _, s := range before.slots[:n] {
		if !has(h.slots[:m], s) {
			all.slots = append(all.slots, s)
		}
	}
	all.slots = slices.Concat(all.slots, h.slots[:m], before.slots[n:], h.slots[m:])
	return all
}

// own finds an address that is asked for among those that its interface has.
func (d *draft) own(p *Pool, static netip.Addr) (slot, bool) {
	h := d.a.held[d.owner.Key]
	if h == nil || !static.IsValid() {
		return slot{}, false
	}
	for _, s := range h.slots[:h.addresses()] {
		if s.domain == p.Domain && s.Address.Addr() == static {
			grant := p.grant(static)
			grant.Shared = s.Shared
			s.Grant = grant
			return s, true
		}
	}
	return slot{}, false
}
