package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// DamagedLog says which records of the log could not be read. They are gone
// from it.
type DamagedLog struct {
	Keys []string
	Err  error
}

func (d *DamagedLog) Error() string {
	return fmt.Sprintf("read the log of addresses: %d records cannot be read (%s): %v", len(d.Keys), strings.Join(d.Keys, ", "), d.Err)
}

func (d *DamagedLog) Unwrap() error { return d.Err }

// replay reads the log into memory. A record that cannot be read does not keep
// the others from being used; it is dropped, or every start would find it.
func (a *Allocator) replay() *DamagedLog {
	now := time.Now()
	damage := &DamagedLog{}
	a.Log.All(func(key string, value []byte) {
		if bad := a.replayRecord(key, value, now); bad != nil {
			damage.Keys, damage.Err = append(damage.Keys, key), errors.Join(damage.Err, bad)
		}
	})
	for _, key := range damage.Keys {
		damage.Err = errors.Join(damage.Err, a.Log.Delete(key))
	}
	for _, h := range a.held {
		for _, s := range h.slots {
			if s.bound {
				delete(a.ending, objectName(s.domain, s.Address.Addr()))
			}
			if s.local {
				a.markLocal(s)
			}
		}
	}
	if len(damage.Keys) == 0 {
		return nil
	}
	return damage
}

func (a *Allocator) replayRecord(key string, value []byte, now time.Time) error {
	if _, ok := cutKey(key, heldKey); ok {
		h, err := decodeHeld(value)
		if err != nil {
			return err
		}
		a.keep(h)
	}
	if _, ok := cutKey(key, restKey); ok {
		return a.replayRest(value, now)
	}
	if name, ok := cutKey(key, unbindKey); ok {
		e, err := decodeEnding(value)
		if err != nil {
			return err
		}
		a.ending[name] = e
	}
	if _, ok := cutKey(key, quarantineKey); ok {
		return a.replayQuarantine(value)
	}
	return nil
}

func (a *Allocator) markLocal(s slot) {
	sp := a.space(s.domain)
	x := s.Address.Addr()
	l := sp.find(x)
	if l == nil {
		l = a.localLease(sp, x)
	}
	l.used |= 1 << l.place(x)
	sp.settle(l)
}

// Adopt takes over a holding that was found on the node but is not in the log:
// grant i came from pool i. Call it before Run, if the log was lost while the
// node kept running.
func (a *Allocator) Adopt(found Holding, pools []Pool) error {
	if len(pools) != len(found.Grants) {
		return fmt.Errorf("adopt %s: %d pools for %d addresses", found.Owner.Key, len(pools), len(found.Grants))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[found.Owner.Key] != nil {
		return nil
	}
	h := &held{owner: found.Owner}
	for i, g := range found.Grants {
		p := pools[i].parsed()
		s := slot{Grant: g, domain: p.Domain, local: p.Local, unit: a.unit(&p)}
		if other := a.by[spot{s.domain, g.Address.Addr()}]; other != nil {
			s.frozen = true
			for i := range other.slots {
				if o := &other.slots[i]; o.domain == s.domain && o.Address.Addr() == g.Address.Addr() {
					o.frozen = true
				}
			}
			if err := a.record(other); err != nil {
				return err
			}
			a.Logger.Error("two interfaces have one address", "address", g.Address, "one", other.owner.Key, "other", found.Owner.Key)
		} else if s.local {
			a.markLocal(s)
		}
		h.slots = append(h.slots, s)
	}
	return a.record(h)
}

// sync learns what this node holds at the API server, and claims again what
// its interfaces use and the API server does not know as ours (after an
// uninstall took the objects along), before anything new is given out.
func (a *Allocator) sync(ctx context.Context) error {
	blocks, err := a.Store.ListBlocks(ctx, Scope{NodeUID: a.NodeUID})
	if err != nil {
		return fmt.Errorf("list this node's blocks: %w", err)
	}
	leavers := map[string]string{}
	a.Log.All(func(key string, value []byte) {
		if name, ok := cutKey(key, leavingKey); ok {
			leavers[name] = string(value)
		}
	})
	if blocks, err = a.withoutLate(ctx, blocks); err != nil {
		return err
	}
	for _, b := range blocks {
		l := a.enter(b)
		if l == nil {
			if err := a.discard(ctx, b); err != nil {
				return err
			}
			continue
		}
		if b.State == v1alpha1.BlockQuarantined {
			a.mu.Lock()
			a.suspect[b.Name] = struct{}{}
			a.mu.Unlock()
		}
		if leavers[b.Name] == b.UID {
			a.mu.Lock()
			l.standing = leaving
			a.mu.Unlock()
		}
		delete(leavers, b.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(leavers)) {
		if err := a.Log.Delete(leavingKey + name); err != nil {
			return fmt.Errorf("log the return of block %s: %w", name, err)
		}
	}
	mine, err := a.Store.ListAddresses(ctx, Scope{NodeUID: a.NodeUID})
	if err != nil {
		return fmt.Errorf("list this node's addresses: %w", err)
	}
	a.rememberImported(mine)
	if mine, err = a.withIncoming(ctx, mine); err != nil {
		return fmt.Errorf("look for addresses that migrate: %w", err)
	}
	if err := a.reclaim(ctx, mine); err != nil {
		return err
	}
	waiting := a.byDomain()
	for _, domain := range slices.Sorted(maps.Keys(waiting)) {
		if err := a.confirmAll(ctx, domain, waiting[domain]); err != nil {
			return err
		}
	}
	a.mu.Lock()
	a.started = true
	a.mu.Unlock()
	return nil
}

// withoutLate gives back those of our blocks that overlap another of ours: of
// the two the one that has not its region's unit arrived late and was never
// used.
func (a *Allocator) withoutLate(ctx context.Context, blocks []Block) ([]Block, error) {
	var kept []Block
	for i, b := range blocks {
		overlaps := slices.ContainsFunc(blocks, func(x Block) bool {
			return x.Domain == b.Domain && x.Prefix != b.Prefix && x.Prefix.Overlaps(b.Prefix)
		})
		if overlaps {
			r, err := a.Store.GetRegion(ctx, objectName(b.Domain, regionOf(b.Prefix.Addr()).Addr()))
			if err != nil && !errors.Is(err, ErrNotFound) {
				return nil, fmt.Errorf("look at the region of block %s: %w", b.Name, err)
			}
			if err == nil && r.Unit != unitOf(b.Prefix) {
				if err := a.discard(ctx, blocks[i]); err != nil {
					return nil, err
				}
				continue
			}
		}
		kept = append(kept, b)
	}
	return kept, nil
}

func (a *Allocator) byDomain() map[string][]*lease {
	out := map[string][]*lease{}
	for _, l := range a.leases(func(l *lease) bool { return l.standing == unconfirmed }) {
		out[l.domain] = append(out[l.domain], l)
	}
	return out
}

// confirmAll is confirm for many blocks of a domain, with two lists.
func (a *Allocator) confirmAll(ctx context.Context, domain string, leases []*lease) error {
	regions, err := a.Store.ListRegions(ctx, domain)
	if err != nil {
		return fmt.Errorf("list regions of domain %s: %w", domain, err)
	}
	unit := map[netip.Addr]int{}
	for _, r := range regions {
		if !r.Draining {
			unit[r.Prefix.Addr()] = r.Unit
		}
	}
	bound, err := a.Store.ListAddresses(ctx, Scope{Domain: domain})
	if err != nil {
		return fmt.Errorf("list addresses of domain %s: %w", domain, err)
	}
	var odd []*lease
	a.mu.Lock()
	s := a.space(domain)
	for _, l := range leases {
		a.reunite(l)
		if unit[regionOf(l.start()).Addr()] == int(l.unit) {
			l.standing = owned
		} else {
			odd = append(odd, l)
		}
	}
	for _, l := range leases {
		l.cutOut(bound)
		s.settle(l)
		if l.requested && l.standing == owned {
			a.question(l.name())
		}
	}
	a.mu.Unlock()
	for _, l := range odd {
		if err := a.withdraw(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// reclaim goes through what interfaces hold and gets back each right that is
// missing.
func (a *Allocator) reclaim(ctx context.Context, mine []Address) error {
	a.mu.Lock()
	bound := map[spot]Address{}
	for _, x := range mine {
		bound[spot{x.Domain, x.Address}] = x
	}
	var missing []slot // the order matters to nobody but a simulation
	for _, h := range a.held {
		changed := false
		for i := range h.slots {
			s := &h.slots[i]
			x := s.Address.Addr()
			if s.local || s.frozen && !s.bound {
				continue
			}
			on, ok := bound[spot{s.domain, x}]
			ok = ok && on.rightOf(a.NodeUID, h.owner.Key)
			switch {
			case ok:
				changed = changed || !s.bound || s.uid != on.UID
				s.bound, s.uid, s.claim = true, on.UID, on.Claim
				delete(a.ending, objectName(s.domain, x))
			case s.bound:
				a.evicted[spot{s.domain, x}] = struct{}{}
			case a.space(s.domain).find(x) == nil:
				missing = append(missing, *s)
			}
		}
		if changed {
			if err := a.record(h); err != nil {
				a.mu.Unlock()
				return err
			}
		}
	}
	a.mu.Unlock()
	slices.SortFunc(missing, func(x, y slot) int { return x.Address.Addr().Compare(y.Address.Addr()) })
	for _, s := range missing {
		if err := a.reclaimBlock(ctx, s.domain, s.Address.Addr(), s.unit); err != nil {
			return fmt.Errorf("claim the block of %s again: %w", s.Address.Addr(), err)
		}
	}
	return nil
}

// reclaimBlock claims the block around an address in use. If it is somebody
// else's by now, the address is bound by itself, as far as its owner lets us.
func (a *Allocator) reclaimBlock(ctx context.Context, domain string, x netip.Addr, unit int) error {
	a.mu.Lock()
	covered := a.space(domain).find(x) != nil
	a.mu.Unlock()
	if covered {
		return nil
	}
	prefix := regionOf(x)
	name := objectName(domain, prefix.Addr())
	r, err := a.Store.GetRegion(ctx, name)
	if errors.Is(err, ErrNotFound) {
		if r, err = a.Store.CreateRegion(ctx, newRegion(domain, prefix, max(unit, 1))); errors.Is(err, ErrExists) {
			r, err = a.Store.GetRegion(ctx, name)
		}
	}
	if err != nil {
		return err
	}
	block := blockOf(x, r.Unit)
	b := Block{Meta: Meta{Name: objectName(domain, block.Addr())}, Domain: domain, Prefix: block,
		Node: a.Node, NodeUID: a.NodeUID, State: v1alpha1.BlockOwned, UsedCount: 1, Used: 1 << placeIn(block, x)}
	created, err := a.Store.CreateBlock(ctx, b)
	if errors.Is(err, ErrExists) {
		created, err = a.Store.GetBlock(ctx, b.Name)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("block %s comes and goes: %w", b.Name, err)
		}
	}
	if err != nil {
		return err
	}
	if created.NodeUID != a.NodeUID {
		a.mu.Lock()
		a.evicted[spot{domain, x}] = struct{}{}
		a.mu.Unlock()
		a.Logger.Error("address in use here lies in a block of another node", "address", x, "domain", domain, "block", created.Prefix, "node", created.Node)
		return nil
	}
	if a.enter(created) == nil {
		a.mu.Lock()
		a.evicted[spot{domain, x}] = struct{}{}
		a.mu.Unlock()
		return a.discard(ctx, created)
	}
	return nil
}
