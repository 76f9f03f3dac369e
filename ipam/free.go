package ipam

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Free gives back what an interface holds. Call it when the interface is gone:
// its addresses are given out again at once. An unknown key is fine; a Take of
// it that is under way is called off. Objects of the API server are deleted
// later, by Run, and after a crash as well.
func (a *Allocator) Free(_ context.Context, key Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.busy[key]; at != nil {
		at.cancelled = true
		at.cancel()
	}
	h := a.held[key]
	if h == nil {
		return nil
	}
	if err := a.release(h); err != nil {
		// It holds all of them, or none: the objects stay as well.
		for _, s := range h.slots {
			if s.bound {
				delete(a.ending, objectName(s.domain, s.Address.Addr()))
			}
		}
		return fmt.Errorf("free the addresses of %s: %w", key, err)
	}
	a.forget(h, time.Now())
	return nil
}

// release logs that a holding ends. Called with mu held.
func (a *Allocator) release(h *held) error {
	for _, s := range h.slots {
		if s.bound {
			if err := a.condemn(s.ended(h.owner.Key)); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	for i := range h.slots {
		if s := &h.slots[i]; s.rest > 0 && !s.bound && !s.frozen {
			if err := a.logRest(s, now); err != nil {
				return err
			}
		}
	}
	if err := a.Log.Delete(heldKey + h.owner.Key.String()); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// forget takes a holding out of memory. Called with mu held.
func (a *Allocator) forget(h *held, now time.Time) {
	delete(a.held, h.owner.Key)
	for _, s := range h.slots {
		x := s.Address.Addr()
		if other := a.another(h, s); other != nil {
			a.by[spot{s.domain, x}] = other
			continue // it is used all the same
		}
		delete(a.by, spot{s.domain, x})
		if s.domain == "" {
			a.settledStray(x)
		}
		if s.bound {
			continue
		}
		sp := a.space(s.domain)
		l := sp.find(x)
		if l == nil || l.used&(1<<l.place(x)) == 0 {
			continue
		}
		if s.frozen {
			l.cutAt(l.place(x)) // somebody else may have the right: heal looks
		}
		l.give(l.place(x), now)
		if s.rest > 0 {
			a.sleep(l, l.place(x), now.Add(s.rest))
		}
		sp.settle(l)
		if l.used|l.resting == 0 && !l.local && l.unit == 1 && l.standing == owned && !s.token {
			// Others may have waited for longer than whoever asks here next.
			if a.leave(l) {
				sp.gave = now
			}
		}
		if l.used == 0 && !l.local && (l.unit == 1 || l.requested || l.standing == lost) || l.hidden() {
			a.nudge()
		}
	}
}

// another is a second holding with an address, which there is only if it was
// found in use twice. Called with mu held.
func (a *Allocator) another(h *held, s slot) *held {
	if !s.frozen {
		return nil
	}
	for _, other := range a.held {
		if other == h {
			continue
		}
		for _, o := range other.slots {
			if o.domain == s.domain && o.Address.Addr() == s.Address.Addr() {
				return other
			}
		}
	}
	return nil
}

// ended is what is to be done when the interface does not have the address
// any more: the object is deleted, or its use by a claim's interface ends.
func (s slot) ended(key Key) ending {
	e := ending{uid: s.uid, spot: spot{s.domain, s.Address.Addr()}}
	if s.claim != (ClaimRef{}) {
		e.claimed, e.key, e.fresh = true, key, s.fresh
	}
	return e
}

// condemn notes what is to be done about an Address object, in the log first.
// Called with mu held.
func (a *Allocator) condemn(e ending) error {
	name := objectName(e.spot.domain, e.spot.addr)
	if err := a.Log.Put(unbindKey+name, encodeEnding(e)); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	a.ending[name] = &e
	a.nudge()
	return nil
}

// spared takes the mark off again: the address is held. Called with mu held.
func (a *Allocator) spared(name string) {
	delete(a.ending, name)
	if err := a.Log.Delete(unbindKey + name); err != nil {
		// After a crash the holding, which is in the log too, wins.
		a.Logger.Warn("log keeps a mark that is no longer true", "address", name, "error", err)
	}
}

// abandon gives up rights that were got and are not needed: all of a take that
// was refused.
func (a *Allocator) abandon(requests []request, refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range requests {
		for _, s := range requests[i].spent {
			a.giveUp(s)
		}
		if refused {
			a.giveUp(requests[i].right)
			a.giveUp(requests[i].token)
		}
	}
}

// giveUp gives up one right. Called with mu held.
func (a *Allocator) giveUp(s slot) {
	if s.bound {
		e := s.ended(s.key)
		a.ending[objectName(s.domain, s.Address.Addr())] = &e
		a.nudge()
	}
}

// unbind deletes an Address object that nobody here uses. The name is locked
// by the caller.
func (a *Allocator) unbind(ctx context.Context, name string, e ending) error {
	if e.claimed {
		return a.relinquish(ctx, name, e)
	}
	if e.uid == "" {
		// The answer to our create was lost: is it ours?
		got, err := a.Store.GetAddress(ctx, name)
		switch {
		case errors.Is(err, ErrNotFound):
			return a.unbound(name)
		case err != nil:
			return err
		case got.NodeUID != a.NodeUID || got.Claim != ClaimRef{} || a.usedElsewhere(got):
			return a.unbound(name)
		}
		e.uid = got.UID
	}
	err := a.Store.DeleteAddress(ctx, name, e.uid)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		return err
	}
	return a.unbound(name)
}

// unbound forgets a deletion that is done.
func (a *Allocator) unbound(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.ending, name)
	if err := a.Log.Delete(unbindKey + name); err != nil {
		return fmt.Errorf("log the deletion of %s: %w", name, err)
	}
	return nil
}

// usedElsewhere tells whether a holding rests on the object.
func (a *Allocator) usedElsewhere(x Address) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.by[spot{x.Domain, x.Address}]
	if h == nil {
		return false
	}
	for _, s := range h.slots {
		if s.bound && s.Address.Addr() == x.Address && s.uid == x.UID {
			return true
		}
	}
	return false
}
