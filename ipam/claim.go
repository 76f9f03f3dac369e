package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// acquire makes blocks of the pool this node's, enough for all that wait for
// the pool now; need is how many addresses this take waits for. Takes that come meanwhile share the work. The error is an
// *exhausted if no block is left to claim.
func (a *Allocator) acquire(ctx context.Context, p Pool, need int) error {
	a.mu.Lock()
	s := a.state(p)
	s.waiting += need
	f := a.fly(s, 0)
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		s.waiting -= need
		a.mu.Unlock()
	}()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return unavailable("lease addresses of pool "+p.Name, ctx.Err())
	}
}

// fly starts a claim of blocks, or joins the one that is under way. Called
// with mu held.
func (a *Allocator) fly(s *poolState, more int) *flight {
	if s.flight != nil {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	// It outlives the take that began it: others wait for it too.
	ctx, progress, cancel := withPatience(context.Background(), a.Patience)
	go func() {
		defer cancel()
		err := a.claimFor(ctx, progress, s, more)
		a.mu.Lock()
		f.err, s.flight = err, nil
		if err != nil && more > 0 {
			s.quiet = time.Now().Add(prefetchFailed)
		}
		a.mu.Unlock()
		close(f.done)
	}()
	return f
}

// withPatience is a context that ends when nothing was heard for a while; each
// progress begins the while anew.
func withPatience(ctx context.Context, d time.Duration) (_ context.Context, progress func(), _ context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() { timer.Reset(d) }, func() { timer.Stop(); cancel(nil) }
}

// claimFor claims blocks until all that wait can have an address, and more
// besides.
func (a *Allocator) claimFor(ctx context.Context, progress func(), s *poolState, more int) error {
	for n := 0; ; n++ {
		a.mu.Lock()
		p := s.pool
		want := s.waiting + more
		short := want - a.space(p.Domain).count(&p, want)
		unit := a.space(p.Domain).units[regionOf(p.spans[0].First).Addr()]
		if unit == 0 {
			unit = want // not known yet: one block will tell
		}
		a.mu.Unlock()
		if short <= 0 {
			return nil
		}
		err := a.claimMany(ctx, p, (short+unit-1)/unit)
		if err != nil && n > 0 {
			return nil // some have one now, the others come again
		}
		if err != nil {
			return err
		}
		progress()
	}
}

// prefetch claims the next block when the pool runs low here, so that the take
// that needs it does not wait. Pools that are leased address by address have
// none to spare. Called with mu held.
func (a *Allocator) prefetch(p *Pool, now time.Time) {
	if p.Local {
		return
	}
	s := a.state(*p)
	unit := a.unit(p)
	if unit == 1 || s.flight != nil || now.Before(s.quiet) {
		return
	}
	sp := a.space(p.Domain)
	if now.Sub(sp.wanted) < generous {
		return // others have too few
	}
	if sp.count(p, unit/4+1) > unit/4 {
		return
	}
	s.quiet = now.Add(prefetchRest)
	a.fly(s, unit/4+1)
}

// How long a pool is left alone between prefetches, and after one in vain.
const (
	prefetchRest   = 250 * time.Millisecond
	prefetchFailed = 10 * time.Second
)

// unit is the size of the blocks that a new region gets for the pool.
func (a *Allocator) unit(p *Pool) int {
	if p.BlockSize > 0 {
		return p.BlockSize
	}
	return unitFor(p.Size(), a.nodes)
}

// takenFor is how long a block that somebody else has is not tried again
// unasked.
const takenFor = 20 * time.Second

// enter keeps a block of ours that is not confirmed yet. It is nil if another
// block of ours, of another unit, covers some of the same addresses: then this
// one is a create that arrived late, after its region had changed, and nothing
// of it was ever used.
func (a *Allocator) enter(b Block) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.space(b.Domain)
	if l := s.find(b.Prefix.Addr()); l != nil && l.prefix == b.Prefix && l.uid == b.UID {
		return l
	}
	if s.overlaps(b.Prefix) {
		return nil
	}
	l := newLease(b.Domain, b.Prefix, b.UID, unconfirmed, time.Now())
	l.holes, l.told = b.Holes, b.Used
	l.requested = len(b.Requests) > 0
	if l.unit > 1 && a.inhabited(l) != b.Used {
		l.touch(time.Now()) // others go by what it says, for whom to ask
	}
	a.rested(l, l.idle)
	s.units[regionOf(b.Prefix.Addr()).Addr()] = int(l.unit)
	s.add(l)
	return l
}

// discard deletes the object of a block that enter did not want.
func (a *Allocator) discard(ctx context.Context, b Block) error {
	err := a.Store.DeleteBlock(ctx, b.Name, b.UID)
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.suspect[b.Name] = struct{}{}
	return fmt.Errorf("give back block %s: %w", b.Name, err)
}

// region is the region of an address, created if there is none.
func (a *Allocator) region(ctx context.Context, p *Pool, x netip.Addr) (Region, error) {
	prefix := regionOf(x)
	name := objectName(p.Domain, prefix.Addr())
	a.mu.Lock()
	r, known := a.space(p.Domain).regions[prefix.Addr()]
	a.mu.Unlock()
	if known {
		return r, nil // confirm looks whether it is still so
	}
	r, err := a.Store.GetRegion(ctx, name)
	if errors.Is(err, ErrNotFound) {
		a.mu.Lock()
		unit := a.unit(p)
		a.mu.Unlock()
		if r, err = a.Store.CreateRegion(ctx, newRegion(p.Domain, prefix, unit)); errors.Is(err, ErrExists) {
			r, err = a.Store.GetRegion(ctx, name)
		}
	}
	if err != nil {
		return r, unavailable("lease addresses of pool "+p.Name, err)
	}
	a.mu.Lock()
	s := a.space(p.Domain)
	s.units[prefix.Addr()] = r.Unit
	if !r.Draining {
		s.regions[prefix.Addr()] = r
	}
	a.mu.Unlock()
	return r, nil
}

// confirm makes blocks that we have created usable: their region is still the
// one that they were created for (any region of that unit, if from is nil),
// and the static addresses inside are known. The blocks are of one region.
func (a *Allocator) confirm(ctx context.Context, from *Region, leases ...*lease) error {
	first := leases[0]
	var bound []Address
	var failed error
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		bound, failed = a.boundIn(ctx, leases)
	}()
	now, err := a.Store.GetRegion(ctx, objectName(first.domain, regionOf(first.start()).Addr()))
	<-listed
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	for _, l := range leases {
		if err != nil || now.Draining || now.Unit != int(l.unit) || from != nil && now.UID != from.UID {
			if err := a.withdraw(ctx, l); err != nil {
				return err
			}
		}
	}
	if err != nil || failed != nil {
		return failed
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range leases {
		if l.standing != unconfirmed || now.Draining || now.Unit != int(l.unit) || from != nil && now.UID != from.UID {
			continue
		}
		a.reunite(l)
		l.cutOut(bound)
		l.standing = owned
		a.space(l.domain).settle(l)
		if l.requested {
			a.question(l.name())
		}
	}
	return nil
}

// mostRead is up to how many addresses are read one by one. A list that must be up to date waits for the API server's cache of the kind,
// which hears of its own age every 100 ms; an object is read from etcd at once.
const mostRead = 2

// boundIn are the addresses of new leases of one region that are bound by objects, and perhaps others of the region.
func (a *Allocator) boundIn(ctx context.Context, leases []*lease) (bound []Address, err error) {
	total := 0
	for _, l := range leases {
		total += int(l.unit)
	}
	if total > mostRead {
		return a.Store.ListAddresses(ctx, Scope{Domain: leases[0].domain, Region: RegionValue(leases[0].start())})
	}
	for _, l := range leases {
		for place := range int(l.unit) {
			x, err := a.Store.GetAddress(ctx, objectName(l.domain, l.at(place)))
			if err == nil {
				bound = append(bound, x)
			} else if !errors.Is(err, ErrNotFound) {
				return nil, err
			}
		}
	}
	return bound, nil
}

// withdraw gives back a block of which nothing was used: its region changed
// while it was made. A block with addresses in use is kept and not used for
// more.
func (a *Allocator) withdraw(ctx context.Context, l *lease) error {
	a.mu.Lock()
	s := a.space(l.domain)
	delete(s.units, regionOf(l.start()).Addr())
	delete(s.regions, regionOf(l.start()).Addr())
	a.reunite(l)
	if l.used != 0 {
		a.mu.Unlock()
		a.Logger.Error("block has addresses in use and its region has another unit", "block", l.name(), "prefix", l.prefix)
		return nil
	}
	left := a.leave(l)
	a.mu.Unlock()
	if !left {
		return nil
	}
	return a.depart(ctx, l)
}

// reunite marks what interfaces hold of a lease as used, and what strangers
// use as no longer ours. Called with mu held.
func (a *Allocator) reunite(l *lease) {
	a.shun(l)
	l.used |= a.inhabited(l)
	if l.unit > 1 && l.used != l.told {
		l.touch(time.Now()) // what was freed since enter is not to be told as used for ever
	}
}

// inhabited are the addresses of a lease that interfaces hold by it. Called
// with mu held.
func (a *Allocator) inhabited(l *lease) (used uint64) {
	for place := range int(l.unit) {
		x := l.at(place)
		h := a.by[spot{l.domain, x}]
		if h == nil {
			continue
		}
		for i := range h.slots {
			if s := &h.slots[i]; s.Address.Addr() == x && s.domain == l.domain && !s.bound {
				used |= 1 << place
			}
		}
	}
	return used
}
