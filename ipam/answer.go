package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// answer deals with what others ask of a block of ours. A block that nothing
// uses is given back whole; else the address is cut out, or refused with the
// name of who uses it.
func (a *Allocator) answer(ctx context.Context, name string) error {
	for {
		b, err := a.Store.GetBlock(ctx, name)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		a.mu.Lock()
		s := a.space(b.Domain)
		l := s.find(b.Prefix.Addr())
		if b.NodeUID != a.NodeUID || l == nil || l.uid != b.UID || l.standing != owned {
			a.mu.Unlock()
			return nil // whoever asks looks again when it is gone; confirm asks again
		}
		a.mu.Unlock()
		open, err := a.sincere(ctx, &b)
		if err != nil || len(open) == 0 {
			return err
		}
		if a.giveWhole(s, l) {
			return a.depart(ctx, l)
		}
		a.cut(&b, l, open)
		if _, err = a.Store.UpdateBlock(ctx, b); errors.Is(err, ErrConflict) {
			continue
		} else if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil {
			a.flushed(l, b)
		}
		return err
	}
}

// sincere are the unanswered requests whose Address object exists. The others
// were withdrawn.
func (a *Allocator) sincere(ctx context.Context, b *Block) (open []int, err error) {
	for i, r := range b.Requests {
		if r.Answer != "" || !b.Prefix.Contains(r.Address) {
			continue
		}
		_, err := a.Store.GetAddress(ctx, objectName(b.Domain, r.Address))
		switch {
		case errors.Is(err, ErrNotFound):
			b.Requests[i].Answer = "withdrawn"
		case err != nil:
			return nil, err
		}
		open = append(open, i)
	}
	return open, nil
}

// giveWhole decides to give a block back that nothing uses, unless it was
// claimed a moment ago for somebody who is about to use it.
func (a *Allocator) giveWhole(s *space, l *lease) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	s.wanted = now
	return l.used|l.resting == 0 && now.Sub(l.idle) >= settleTime && a.leave(l)
}

// settleTime is how long a block is left to those it was claimed for.
const settleTime = 300 * time.Millisecond

// cut takes addresses out of what we give out, before the block says so.
func (a *Allocator) cut(b *Block, l *lease, open []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range open {
		r := &b.Requests[i]
		if r.Answer != "" {
			continue
		}
		place := l.place(r.Address)
		if l.used&(1<<place) != 0 {
			r.Answer = "in use"
			if h := a.by[spot{l.domain, r.Address}]; h != nil {
				r.Answer = h.owner.uses()
			}
			continue
		}
		if q := a.strangers[spot{l.domain, r.Address}]; q != nil {
			r.Answer = "in quarantine: " + q.MAC + " uses it"
			continue
		}
		if r.Any && l.resting&(1<<place) != 0 {
			r.Answer = "rests after its last use"
			continue
		}
		l.holes |= 1 << place
		l.resting &^= 1 << place
		r.Answer = answerCut
	}
	a.space(l.domain).settle(l)
	a.describe(b, l)
}

// uses is what a block's owner answers about an address that an interface has.
func (w Owner) uses() string {
	return fmt.Sprintf("in use by interface %s of Pod %s/%s", w.IfName, w.Namespace, w.Pod)
}

// describe writes what is known of a lease into its block. Holes are only
// added: heal takes them off, in the order that is safe. A hole is the right
// of whoever has the Address object, so one for a stranger is not told before
// there is an object for it.
func (a *Allocator) describe(b *Block, l *lease) {
	b.Holes |= l.holes &^ a.shunned(l.domain, l.prefix)
	b.Used = l.used
	b.UsedCount = popcount(l.used)
}

// flushed notes that the object says what is true.
func (a *Allocator) flushed(l *lease, b Block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l.told = b.Used
	if l.used == b.Used && l.holes&^(b.Holes|a.shunned(l.domain, l.prefix)) == 0 {
		l.changed = time.Time{}
	}
}

// flush writes how much of a block is used, for people, and for those who look
// for an address to ask for.
func (a *Allocator) flush(ctx context.Context, l *lease) error {
	b, err := a.Store.GetBlock(ctx, l.name())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err != nil || b.UID != l.uid {
		a.mu.Lock()
		l.changed = time.Time{}
		a.suspect[l.name()] = struct{}{}
		a.mu.Unlock()
		return nil
	}
	a.mu.Lock()
	a.describe(&b, l)
	a.mu.Unlock()
	_, err = a.Store.UpdateBlock(ctx, b)
	if err == nil {
		a.flushed(l, b)
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil // next time
	}
	return err
}

// heal gives out again what was cut out and is bound no more. The block says
// so first and the Address objects are looked at after: a requester whose
// object was not there yet finds no hole and asks.
func (a *Allocator) heal(ctx context.Context, l *lease) error {
	gone, err := a.unboundHoles(ctx, l)
	if err != nil {
		return err
	}
	if gone == 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		l.healRest = min(max(2*l.healRest, healRest), longestHeal)
		l.healAt = time.Now().Add(l.healRest)
		return nil
	}
	b, err := a.Store.GetBlock(ctx, l.name())
	if err != nil || b.UID != l.uid {
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	if b.Holes&gone != 0 {
		b.Holes &^= gone
		if _, err := a.Store.UpdateBlock(ctx, b); errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			return nil // next time
		} else if err != nil {
			return err
		}
	}
	a.mu.Lock()
	l.cut = 0
	a.mu.Unlock()
	still, err := a.unboundHoles(ctx, l)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	still &^= l.cut // bound by an object that the list may be too old for
	for healed := l.holes & gone & still; healed != 0; healed &= healed - 1 {
		place, now := bits.TrailingZeros64(healed), time.Now()
		if d := a.cooldown(spot{l.domain, l.at(place)}); d > 0 {
			l.give(place, now)
			a.sleep(l, place, now.Add(d))
		}
	}
	l.holes &^= gone & still
	l.healRest, l.healAt = 0, time.Time{}
	a.space(l.domain).settle(l)
	return nil
}

// unboundHoles are the holes without an Address object.
func (a *Allocator) unboundHoles(ctx context.Context, l *lease) (uint64, error) {
	a.mu.Lock()
	holes := l.holes &^ a.shunned(l.domain, l.prefix)
	a.mu.Unlock()
	bound, err := a.Store.ListAddresses(ctx, Scope{Domain: l.domain, Region: RegionValue(l.start())})
	if err != nil {
		return 0, err
	}
	for _, x := range bound {
		if l.prefix.Contains(x.Address) {
			holes &^= 1 << l.place(x.Address)
		}
	}
	return holes, nil
}
