package ipam

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// rechargeRest is how often holdings are held against quotas, which may have
// been edited since they were taken.
const rechargeRest = 15 * time.Second

// recharge gives tokens to holdings whose quotas came or were lowered after
// they were taken, as far as there are any, so that what is held counts; and
// takes back tokens of quotas that are gone.
func (a *Allocator) recharge(ctx context.Context) error {
	if a.Pool == nil {
		return nil
	}
	a.mu.Lock()
	pools := map[string]*Pool{}
	var odd []Key
	for key, h := range a.held {
		if keep, lacks := a.charges(h, pools); len(lacks) > 0 || len(keep) != len(h.slots)-h.addresses() {
			odd = append(odd, key)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(odd, func(x, y Key) int { return strings.Compare(x.String(), y.String()) })
	full := map[string]bool{} // domains without a token left
	for _, key := range odd {
		if err := a.rechargeOne(ctx, key, pools, full); err != nil {
			return err
		}
	}
	return nil
}

// charges are the tokens of a holding that are right, and the pools of those
// that it lacks. Called with mu held.
func (a *Allocator) charges(h *held, pools map[string]*Pool) (keep []slot, lacks []*Pool) {
	n := h.addresses()
	rest := slices.Clone(h.slots[n:])
	for _, s := range h.slots[:n] {
		p, known := pools[s.Pool]
		if !known {
			if now, ok := a.Pool(s.Pool); ok {
				now = now.parsed()
				p = &now
			}
			pools[s.Pool] = p
		}
		if p == nil || p.Domain != s.domain {
			continue
		}
		t := a.tokens(p, h.owner.Namespace)
		if t == nil {
			continue
		}
		i := slices.IndexFunc(rest, func(s slot) bool { return s.domain == t.Domain && t.GivesAny(s.Address.Addr()) })
		if i < 0 {
			lacks = append(lacks, t)
			continue
		}
		keep = append(keep, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return keep, lacks
}

func (a *Allocator) rechargeOne(ctx context.Context, key Key, pools map[string]*Pool, full map[string]bool) error {
	a.mu.Lock()
	h := a.held[key]
	if h == nil {
		a.mu.Unlock()
		return nil
	}
	_, lacks := a.charges(h, pools)
	need := map[string]int{}
	for _, t := range lacks {
		need[t.Domain]++
	}
	a.mu.Unlock()
	var rights []slot // tokens that other nodes gave up
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, s := range rights {
			a.giveUp(s)
		}
	}()
	for _, t := range lacks {
		if full[t.Domain] || len(t.spans) == 0 {
			return nil // it keeps what it has: others are refused
		}
		a.mu.Lock()
		enough := a.space(t.Domain).count(t, need[t.Domain]) >= need[t.Domain]
		a.mu.Unlock()
		if enough {
			continue
		}
		err := a.acquire(ctx, *t, need[t.Domain])
		var none *exhausted
		if errors.As(err, &none) {
			var s slot
			if s, err = a.steal(ctx, h.owner, t, none, ClaimRef{}); ReasonOf(err) == PoolFull {
				full[t.Domain] = true
				return nil
			}
			if s.token = true; err == nil {
				rights = append(rights, s)
			}
		}
		if err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[key] != h {
		return nil
	}
	keep, lacks := a.charges(h, pools)
	done, err := a.swapTokens(h, keep, lacks, rights)
	if done {
		rights = nil
	}
	return err
}

// swapTokens gives a holding the tokens that it lacks, if all are at hand, and
// takes back those that it needs no more. Called with mu held.
func (a *Allocator) swapTokens(h *held, keep []slot, lacks []*Pool, rights []slot) (done bool, err error) {
	d := draft{a: a, owner: h.owner}
	rights = slices.Clone(rights)
	for _, t := range lacks {
		if i := slices.IndexFunc(rights, func(s slot) bool { return s.domain == t.Domain }); i >= 0 {
			d.tokens = append(d.tokens, rights[i])
			rights = slices.Delete(rights, i, i+1)
			continue
		}
		l, place := a.space(t.Domain).pick(t, true)
		if l == nil {
			d.undo(0)
			return false, nil // somebody was faster: next time
		}
		d.use(l, place)
		d.tokens = append(d.tokens, slot{Grant: t.grant(l.at(place)), domain: t.Domain, unit: int(l.unit), token: true})
	}
	n := h.addresses()
	next := &held{owner: h.owner, slots: slices.Concat(h.slots[:n], keep, d.tokens)}
	gone := &held{owner: h.owner}
	kept := map[spot]bool{}
	for _, s := range next.slots {
		kept[spot{s.domain, s.Address.Addr()}] = true
	}
	for _, s := range h.slots[n:] {
		if !kept[spot{s.domain, s.Address.Addr()}] {
			gone.slots = append(gone.slots, s)
			if s.bound {
				if err := a.condemn(s.ended(h.owner.Key)); err != nil {
					d.undo(0)
					return false, err
				}
			}
		}
	}
	if err := a.record(next); err != nil {
		d.undo(0)
		return false, err
	}
	for _, s := range rights {
		a.giveUp(s)
	}
	now := time.Now()
	for _, m := range d.marks {
		m.l.take(m.place, now)
	}
	a.forget(gone, now)
	a.held[h.owner.Key] = next
	return true, nil
}
