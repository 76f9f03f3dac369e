package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
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
	ctx, cancel := context.WithTimeout(context.Background(), a.Patience)
	go func() {
		defer cancel()
		err := a.claimFor(ctx, s, more)
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

// claimFor claims blocks until all that wait can have an address, and more
// besides.
func (a *Allocator) claimFor(ctx context.Context, s *poolState, more int) error {
	for n := 0; ; n++ {
		a.mu.Lock()
		p := s.pool
		want := s.waiting + more
		short := want - a.space(p.Domain).count(&p, want)
		a.mu.Unlock()
		if short <= 0 {
			return nil
		}
		err := a.claim(ctx, p)
		if err != nil && n > 0 {
			return nil // some have one now, the others come again
		}
		if err != nil {
			return err
		}
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

// claim makes one block with a free address of the pool ours.
func (a *Allocator) claim(ctx context.Context, p Pool) error {
	const tries = 24
	var seen *exhausted // what the last look at all blocks found
	for range tries {
		where, ok := a.candidate(&p, seen)
		if !ok {
			if seen != nil {
				return seen
			}
			var err error
			if seen, err = a.look(ctx, p); err != nil {
				return err
			}
			continue
		}
		claimed, err := a.claimAt(ctx, &p, where)
		if claimed || err != nil {
			return err
		}
		if seen == nil { // somebody else was there first: look where they all are
			if seen, err = a.look(ctx, p); err != nil {
				return err
			}
		}
	}
	return &Refusal{Reason: Unavailable, Message: fmt.Sprintf("lease addresses of pool %s: others were faster %d times", p.Name, tries), Fix: "it is tried again"}
}

// candidate chooses where to claim: the lowest address of the pool that
// nobody is known to have. In a large pool, and after a look at all blocks, it
// is one of the lowest few, so that nodes that look at the same time choose
// differently.
func (a *Allocator) candidate(p *Pool, seen *exhausted) (netip.Addr, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := 1
	if seen != nil || p.Size() > strictSize {
		most = min(2*a.nodes, 64)
	}
	s, now := a.space(p.Domain), time.Now()
	var found []netip.Addr
	for _, r := range p.spans {
		for x := r.First; x.IsValid() && !r.Last.Less(x) && len(found) < most; {
			unit := s.units[regionOf(x).Addr()]
			if unit == 0 {
				// Nothing is known of the region: all of it is one candidate.
				found = append(found, x)
				x = after(regionOf(x))
				continue
			}
			b := blockOf(x, unit)
			if s.find(b.Addr()) == nil && !s.believe(b.Addr(), now) && seen.leaves(p.mask(b), b) {
				found = append(found, x)
			}
			x = after(b)
		}
	}
	if len(found) == 0 {
		return netip.Addr{}, false
	}
	return found[a.random.IntN(len(found))], true
}

// claimAt creates the block around an address. False without an error means
// that somebody else has it.
//
// Why this is safe (I1, I2, I3 of the design): the block's name is its lock.
// Blocks of different sizes cannot overlap, because all of a region have the
// region's unit: whoever changes it marks the region first and then looks for
// blocks, we create first and then look at the region, so one sees the other.
// Likewise a static address: its requester creates the Address first and then
// looks for the block, we look for Addresses after the block is created.
func (a *Allocator) claimAt(ctx context.Context, p *Pool, x netip.Addr) (bool, error) {
	region, err := a.region(ctx, p, x)
	if err != nil {
		return false, err
	}
	prefix := blockOf(x, region.Unit)
	a.mu.Lock()
	s := a.space(p.Domain)
	if s.find(prefix.Addr()) != nil || s.believe(prefix.Addr(), time.Now()) || region.Draining {
		if region.Draining {
			s.taken[prefix.Addr()] = time.Now().Add(time.Second)
		}
		a.mu.Unlock()
		return false, nil
	}
	a.mu.Unlock()
	b := Block{Meta: Meta{Name: objectName(p.Domain, prefix.Addr())}, Domain: p.Domain, Prefix: prefix,
		Node: a.Node, NodeUID: a.NodeUID, State: v1alpha1.BlockOwned}
	if region.Unit == 1 {
		b.Used, b.UsedCount = 1, 1 // it is claimed to be used at once: no second write
	}
	unlock, err := a.lockName(ctx, b.Name)
	if err != nil {
		return false, unavailable("lease addresses of pool "+p.Name, err)
	}
	defer unlock()
	b, err = a.Store.CreateBlock(ctx, b)
	a.metrics.claim(err)
	if errors.Is(err, ErrExists) {
		a.mu.Lock()
		s.taken[prefix.Addr()] = time.Now().Add(takenFor)
		a.mu.Unlock()
		return false, nil
	}
	if err != nil {
		// It may have been created: the watch tells, and adopts it.
		return false, unavailable("lease addresses of pool "+p.Name, err)
	}
	l := a.enter(b)
	if l == nil {
		return false, a.discard(ctx, b)
	}
	if err := a.confirm(ctx, l, &region); err != nil {
		return false, unavailable("lease addresses of pool "+p.Name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return l.standing == owned, nil
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
	l.holes = b.Holes
	l.requested = len(b.Requests) > 0
	if l.unit > 1 && a.inhabited(l) != b.Used {
		l.touch(time.Now()) // others go by what it says, for whom to ask
	}
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

// confirm makes a block that we have created usable: the region is still the
// one that it was created for (any region of that unit, if from is nil), and
// the static addresses inside are known.
func (a *Allocator) confirm(ctx context.Context, l *lease, from *Region) error {
	now, err := a.Store.GetRegion(ctx, objectName(l.domain, regionOf(l.start()).Addr()))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err != nil || now.Draining || now.Unit != int(l.unit) || from != nil && now.UID != from.UID {
		return a.withdraw(ctx, l)
	}
	bound, err := a.Store.ListAddresses(ctx, Scope{Domain: l.domain, Region: RegionValue(l.start())})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.standing != unconfirmed {
		return nil
	}
	a.reunite(l)
	l.cutOut(bound)
	l.standing = owned
	a.space(l.domain).settle(l)
	if l.requested {
		a.question(l.name())
	}
	return nil
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
