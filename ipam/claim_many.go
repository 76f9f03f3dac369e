package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// claimsAtOnce is how many blocks are created at the same time.
const claimsAtOnce = 8

// claimMany makes up to n blocks with free addresses of the pool ours, one at
// least.
func (a *Allocator) claimMany(ctx context.Context, p Pool, n int) error {
	const tries = 24
	n = min(n, claimsAtOnce)
	var seen *exhausted // what the last look at all blocks found
	for range tries {
		where := a.candidates(&p, seen, n)
		if len(where) == 0 {
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
		if claimed > 0 || err != nil {
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

// claimAt creates the blocks around some addresses, and says how many are ours
// now. None without an error means that somebody else has them.
//
// Why this is safe (I1, I2, I3 of the design): the block's name is its lock.
// Blocks of different sizes cannot overlap, because all of a region have the
// region's unit: whoever changes it marks the region first and then looks for
// blocks, we create first and then look at the region, so one sees the other.
// Likewise a static address: its requester creates the Address first and then
// looks for the block, we look for Addresses after the block is created.
func (a *Allocator) claimAt(ctx context.Context, p *Pool, where []netip.Addr) (claimed int, err error) {
	regions := map[netip.Addr]Region{}
	for _, x := range where {
		if _, ok := regions[regionOf(x).Addr()]; ok {
			continue
		}
		r, err := a.region(ctx, p, x)
		if err != nil {
			return 0, err
		}
		regions[regionOf(x).Addr()] = r
	}
	made := make([]*lease, len(where))
	errs := make([]error, len(where))
	var each sync.WaitGroup
	for i, x := range where[1:] {
		each.Go(func() { made[i+1], errs[i+1] = a.createAt(ctx, p, x, regions[regionOf(x).Addr()]) })
	}
	made[0], errs[0] = a.createAt(ctx, p, where[0], regions[regionOf(where[0]).Addr()])
	each.Wait()
	groups := map[netip.Addr][]*lease{}
	for _, l := range made {
		if l != nil {
			at := regionOf(l.start()).Addr()
			groups[at] = append(groups[at], l)
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(groups), netip.Addr.Compare) {
		from := regions[at]
		if err := a.confirm(ctx, &from, groups[at]...); err != nil {
			errs = append(errs, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range made {
		if l != nil && l.standing == owned {
			claimed++
		}
	}
	if err := errors.Join(errs...); err != nil && claimed == 0 {
		return 0, unavailable("lease addresses of pool "+p.Name, err)
	}
	return claimed, nil
}

// createAt creates one block, which is to be confirmed. Nil without an error
// means that somebody else has it.
func (a *Allocator) createAt(ctx context.Context, p *Pool, x netip.Addr, region Region) (*lease, error) {
	prefix := blockOf(x, region.Unit)
	a.mu.Lock()
	s := a.space(p.Domain)
	if s.find(prefix.Addr()) != nil || s.believe(prefix.Addr(), time.Now()) || region.Draining {
		if region.Draining {
			s.taken[prefix.Addr()] = time.Now().Add(time.Second)
		}
		a.mu.Unlock()
		return nil, nil
	}
	a.mu.Unlock()
	b := Block{Meta: Meta{Name: objectName(p.Domain, prefix.Addr())}, Domain: p.Domain, Prefix: prefix,
		Node: a.Node, NodeUID: a.NodeUID, State: v1alpha1.BlockOwned}
	if region.Unit == 1 {
		b.Used, b.UsedCount = 1, 1 // it is claimed to be used at once: no second write
	}
	unlock, err := a.lockName(ctx, b.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err = a.Store.CreateBlock(ctx, b)
	a.metrics.claim(err)
	if errors.Is(err, ErrExists) {
		a.mu.Lock()
		s.taken[prefix.Addr()] = time.Now().Add(takenFor)
		a.mu.Unlock()
		return nil, nil
	}
	if err != nil {
		// It may have been created: the watch tells, and adopts it.
		return nil, err
	}
	l := a.enter(b)
	if l == nil {
		return nil, a.discard(ctx, b)
	}
	return l, nil
}
