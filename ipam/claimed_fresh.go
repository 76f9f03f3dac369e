package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// fresh binds an address to a claim that has none for the want yet: the one
// that is asked for, or any that this node can have, of the first pool that is
// not full.
func (a *Allocator) fresh(ctx context.Context, owner Owner, r *request, c Claim) (slot, error) {
	if r.Static.IsValid() {
		return a.bind(ctx, owner, &r.Pool, r.Static, c.Ref())
	}
	for _, x := range c.Wants {
		has := slices.ContainsFunc(c.Has, func(e ClaimedAddress) bool { return e.Address.Addr() == x })
		if p := r.that(x); !has && p.Contains(x) {
			// The controller may have bound it and not listed it yet.
			s, err := a.hold(ctx, owner, p, c, x, false)
			if !errors.Is(err, errNotOurs) {
				return s, err
			}
			return a.bind(ctx, owner, p, x, c.Ref())
		}
	}
	for {
		s, err := a.freshOf(ctx, owner, r.pool(), c)
		if err == nil {
			return s, nil
		}
		if again, err := r.next(err); !again {
			return slot{}, err
		}
	}
}

// freshOf binds any address of a pool.
func (a *Allocator) freshOf(ctx context.Context, owner Owner, p *Pool, c Claim) (slot, error) {
	if len(p.spans) == 0 {
		return slot{}, noneToGive(p)
	}
	const tries = 16
	for range tries {
		x, l := a.reserve(p)
		if l == nil {
			err := a.acquire(ctx, *p, 1)
			var full *exhausted
			if errors.As(err, &full) {
				return a.steal(ctx, owner, p, full, c.Ref())
			}
			if err != nil {
				return slot{}, err
			}
			continue
		}
		s, err := a.bindAs(ctx, owner, p, x, c.Ref(), true)
		a.unreserve(l, x, err == nil || ReasonOf(err) == Taken)
		if ReasonOf(err) != Taken || ctx.Err() != nil {
			return s, err
		}
	}
	return slot{}, &Refusal{Reason: Unavailable, Message: fmt.Sprintf("find an address of pool %s for IPClaim %s: others were faster %d times", p.Name, c.Name, tries), Fix: "it is tried again"}
}

// reserve keeps an address that is held from being given to others; l is nil
// if none is held.
func (a *Allocator) reserve(p *Pool) (netip.Addr, *lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, place, err := a.find(p, netip.Addr{})
	if l == nil || err != nil {
		return netip.Addr{}, nil
	}
	l.used |= 1 << place
	a.space(p.Domain).settle(l)
	return l.at(place), l
}

// unreserve ends that. An address that is bound by an object, ours or
// another's, is not given out as part of its block.
func (a *Allocator) unreserve(l *lease, x netip.Addr, bound bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l.used &^= 1 << l.place(x)
	if bound {
		l.cutAt(l.place(x))
	}
	s := a.space(l.domain)
	if s.find(x) == l {
		s.settle(l)
	}
}
