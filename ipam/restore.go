package ipam

import (
	"errors"
	"net/netip"
)

// Rights are what an interface holds and by what right, to be kept beside the
// log of this room and given to Restore if that is lost; nil for nothing.
func (a *Allocator) Rights(key Key) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[key]
	if h == nil {
		return nil
	}
	value, err := h.encode()
	if err != nil {
		return nil
	}
	return value
}

// Restore takes over what Rights gave, if the log has it no more. Call it
// before Run. Sure tells that the interface has its addresses for certain; one
// that is not sure gets nothing that another has. Of two that are, both keep
// the address, and it is given to nobody else.
func (a *Allocator) Restore(rights []byte, sure bool) error {
	h, err := decodeHeld(rights)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[h.owner.Key] != nil {
		return nil
	}
	var errs []error
	for i := range h.slots {
		s := &h.slots[i]
		other := a.by[spot{s.domain, s.Address.Addr()}]
		switch {
		case other != nil && !sure:
			return nil
		case other != nil:
			s.frozen = true
			for i := range other.slots {
				if o := &other.slots[i]; o.domain == s.domain && o.Address.Addr() == s.Address.Addr() {
					o.frozen = true
				}
			}
			errs = append(errs, a.record(other))
			a.Logger.Error("two interfaces have one address", "address", s.Address, "one", other.owner.Key, "other", h.owner.Key)
		case s.local:
			a.markLocal(*s)
		}
	}
	return errors.Join(append(errs, a.record(h))...)
}

// HoldUnknown keeps addresses that an interface of this node has, of which
// nothing else is known: no pool of any domain gives them out here until the
// key is freed. Call it before Run.
func (a *Allocator) HoldUnknown(owner Owner, addresses []netip.Prefix) error {
	h := &held{owner: owner}
	for _, x := range addresses {
		h.slots = append(h.slots, slot{Grant: Grant{Address: x}, frozen: true})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[owner.Key] != nil {
		return nil
	}
	return a.record(h)
}

// stray notes an address of an unknown domain. Called with mu held.
func (a *Allocator) stray(x netip.Addr, by *held) {
	a.strays[x] = by
	for _, s := range a.spaces {
		if l := s.find(x); l != nil {
			a.shun(l)
			s.settle(l)
		}
	}
}

// settledStray forgets it again. The holes of leased blocks are closed by heal.
// Called with mu held.
func (a *Allocator) settledStray(x netip.Addr) {
	delete(a.strays, x)
	for _, s := range a.spaces {
		if l := s.find(x); l != nil && l.local {
			l.holes &^= 1 << l.place(x)
			s.settle(l)
		}
	}
}
