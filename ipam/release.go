package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// How long a block with no address in use is kept. One block of a domain is
// kept longer, so that the next Pod finds it.
const (
	spareRest = time.Minute
	lastRest  = 10 * time.Minute
	// generous is how long idle blocks are given back at once after somebody
	// asked for an address of the domain.
	generous = time.Minute
	// poolMemory is how long a pool that nobody takes from is remembered.
	poolMemory = time.Hour
)

func popcount(m uint64) int { return bits.OnesCount64(m) }

// leave begins to give a block back. From then on nothing of it is used, also
// after a crash, because the delete may be on its way. Called with mu held.
func (a *Allocator) leave(l *lease) bool {
	if a.shunned(l.domain, l.prefix) != 0 {
		return false // whoever had it next would not know of the stranger
	}
	if err := a.Log.Put(leavingKey+l.name(), []byte(l.uid)); err != nil {
		a.Logger.Warn("block is kept: its return could not be logged", "block", l.name(), "error", err)
		return false
	}
	l.standing = leaving
	a.space(l.domain).settle(l)
	return true
}

// depart deletes the object of a block that leaves.
func (a *Allocator) depart(ctx context.Context, l *lease) error {
	err := a.Store.DeleteBlock(ctx, l.name(), l.uid)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("give back block %s: %w", l.name(), err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.space(l.domain)
	if s.find(l.start()) == l {
		s.remove(l)
	}
	if errors.Is(err, ErrConflict) {
		// Another object has the name: a create of ours that came late, perhaps.
		a.suspect[l.name()] = struct{}{}
	}
	if err := a.Log.Delete(leavingKey + l.name()); err != nil {
		return fmt.Errorf("log the return of block %s: %w", l.name(), err)
	}
	return nil
}

// giveBack chooses blocks that have been idle for long enough.
func (a *Allocator) giveBack() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.wake(now)
	waiting := map[string]bool{}
	for key, s := range a.pools {
		if s.waiting == 0 && s.flight == nil && now.Sub(s.seen) > poolMemory {
			delete(a.pools, key)
			continue
		}
		if s.waiting > 0 || s.flight != nil {
			waiting[key.domain] = true
		}
	}
	for domain, s := range a.spaces {
		if waiting[domain] {
			continue
		}
		// From the top: what is given out next is the lowest.
		kept := false
		for i := len(s.leases) - 1; i >= 0; i-- {
			l := s.leases[i]
			if l.local || l.used|l.resting != 0 || l.standing != owned {
				continue
			}
			rest := spareRest
			switch {
			case l.unit == 1 && l.served:
				rest = 0 // there are few of them: others may wait
			case l.unit == 1 || now.Sub(s.wanted) < generous:
				rest = settleTime
			case !kept && len(s.open) == 1:
				rest = lastRest
			}
			if now.Sub(l.idle) < rest || !a.leave(l) {
				kept = true
			}
		}
	}
}
