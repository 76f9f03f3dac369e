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
	for _, s := range h.slots {
		if s.bound {
			if err := a.condemn(s.domain, s.Grant, s.uid); err != nil {
				return fmt.Errorf("free the addresses of %s: %w", key, err)
			}
		}
	}
	if err := a.Log.Delete(heldKey + key.String()); err != nil {
		return fmt.Errorf("free the addresses of %s: log: %w", key, err)
	}
	a.forget(h, time.Now())
	return nil
}

// forget takes a holding out of memory. Called with mu held.
func (a *Allocator) forget(h *held, now time.Time) {
	delete(a.held, h.owner.Key)
	for _, s := range h.slots {
		x := s.Address.Addr()
		delete(a.by, spot{s.domain, x})
		if s.bound || s.frozen {
			continue
		}
		sp := a.space(s.domain)
		l := sp.find(x)
		if l == nil || l.used&(1<<l.place(x)) == 0 {
			continue
		}
		l.give(l.place(x), now)
		sp.settle(l)
		if l.used == 0 && !l.local && (l.unit == 1 || l.requested || l.standing == lost) {
			a.nudge()
		}
	}
}

// condemn marks an Address object to be deleted, in the log first. Called with
// mu held.
func (a *Allocator) condemn(domain string, g Grant, uid string) error {
	x := g.Address.Addr()
	name := objectName(domain, x)
	if err := a.Log.Put(unbindKey+name, encodeEnding(ending{uid, spot{domain, x}})); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	a.ending[name] = &ending{uid, spot{domain, x}}
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

// abandon gives up rights that were got for a take that was refused.
func (a *Allocator) abandon(requests []request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range requests {
		if s := &requests[i].right; s.bound {
			a.ending[objectName(s.domain, s.Address.Addr())] = &ending{s.uid, spot{s.domain, s.Address.Addr()}}
			a.nudge()
		}
	}
}

// unbind deletes an Address object that nobody here uses. The name is locked
// by the caller.
func (a *Allocator) unbind(ctx context.Context, name string, e ending) error {
	if e.uid == "" {
		// The answer to our create was lost: is it ours?
		got, err := a.Store.GetAddress(ctx, name)
		switch {
		case errors.Is(err, ErrNotFound):
			return a.unbound(name)
		case err != nil:
			return err
		case got.NodeUID != a.NodeUID || a.usedElsewhere(got):
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
