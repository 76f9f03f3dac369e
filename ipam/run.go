package ipam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// pace of the work that nobody waits for.
const (
	tick      = 500 * time.Millisecond
	flushRest = 2 * time.Second
	healRest  = 5 * time.Second
	// longestHeal is how long holes that stay bound are left alone.
	longestHeal = time.Minute
	boundRest   = time.Minute
	// callTime is how long one call to the API server may take.
	callTime = 5 * time.Second
)

// Run learns what this node holds and then keeps its blocks until ctx ends,
// which is not an error. It answers other nodes, deletes what is not needed
// any more and claims again what was lost.
func (a *Allocator) Run(ctx context.Context) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := a.sync(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		a.Logger.Warn("this node's blocks are not known yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
	close(a.ready)
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { a.Store.WatchBlocks(ctx, a.NodeUID, watcher{a}) })
	beside.Go(func() { a.answerAll(ctx) })
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for silent := false; ; {
		err := a.maintain(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != silent {
			silent = err != nil
			a.Logger.Info("upkeep of address blocks", "waiting", silent, "error", err)
		}
		select {
		case <-a.kick:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// answerAll answers other nodes. It stands beside the upkeep, because upkeep
// asks other nodes too: two that wait for each other would both wait in vain.
func (a *Allocator) answerAll(ctx context.Context) {
	for {
		for _, name := range a.todo(a.asked) {
			call, cancel := context.WithTimeout(ctx, callTime)
			err := a.locked(name, func(c context.Context) error { return a.answer(c, name) }, a.asked)(call)
			cancel()
			if err != nil && ctx.Err() == nil {
				a.Logger.Info("requests for a block are answered later", "block", name, "error", err)
			}
		}
		select {
		case <-a.questions:
		case <-time.After(tick):
		case <-ctx.Done():
			return
		}
	}
}

// maintain does all that is due once.
func (a *Allocator) maintain(ctx context.Context) error {
	var first error
	more, hangs := 0, false
	do := func(doing string, f func(context.Context) error) {
		// A server that does not answer would take up the time call by call;
		// one thing that fails must not keep the others from being done.
		if hangs || ctx.Err() != nil {
			return
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		if err := f(call); err != nil {
			if more++; first == nil {
				first = fmt.Errorf("%s: %w", doing, err)
			}
			hangs = call.Err() != nil
		}
	}
	for _, name := range a.todo(a.suspect) {
		do("look after block "+name, a.locked(name, func(c context.Context) error { return a.verify(c, name) }, a.suspect))
	}
	if a.due("bound", boundRest) {
		do("look after bound addresses", a.checkBound)
	}
	for _, x := range a.evictions() {
		do("bind address "+x.addr.String(), func(c context.Context) error { return a.rebind(c, x) })
	}
	for _, l := range a.leases(func(l *lease) bool { return l.standing == unconfirmed }) {
		do("confirm block "+l.name(), a.locked(l.name(), func(c context.Context) error { return a.confirm(c, nil, l) }, nil))
	}
	if a.due("recharge", rechargeRest) {
		do("charge quotas", a.recharge)
	}
	a.giveBack()
	for _, l := range a.leases(func(l *lease) bool { return l.standing == leaving }) {
		do("", a.locked(l.name(), func(c context.Context) error { return a.depart(c, l) }, nil))
	}
	for _, s := range a.quarantined() {
		name := objectName(s.Domain, s.Address)
		do("keep address "+s.Address.String()+" from others", a.locked(name, func(c context.Context) error { return a.publish(c, s) }, nil))
	}
	endings := a.endings()
	for _, name := range slices.Sorted(maps.Keys(endings)) {
		if a.isLocked(name) {
			continue // somebody works on it, and may wait for another node
		}
		e := endings[name]
		if a.isShunned(e.spot) {
			continue // publish makes a quarantine of it
		}
		do("delete address "+name, a.locked(name, func(c context.Context) error { return a.endIfStill(c, name, e) }, nil))
	}
	if a.due("heal", healRest) {
		now := time.Now()
		for _, l := range a.leases(func(l *lease) bool { return l.standing == owned && l.holes != 0 && !now.Before(l.healAt) }) {
			do("heal block "+l.name(), a.locked(l.name(), func(c context.Context) error { return a.heal(c, l) }, nil))
		}
	}
	a.flushSome(do)
	if more > 1 {
		return fmt.Errorf("%w, and %d more", first, more-1)
	}
	return first
}

// flushSome writes the counts of one block a second, and at once of those that
// others think have nothing left: they are few, because it takes such a write
// for a block to be thought full.
func (a *Allocator) flushSome(do func(string, func(context.Context) error)) {
	for _, l := range a.leases((*lease).hidden) {
		do("flush block "+l.name(), a.locked(l.name(), func(c context.Context) error { return a.flush(c, l) }, nil))
	}
	now := time.Now()
	old := a.leases(func(l *lease) bool {
		return l.standing == owned && l.unit > 1 && !l.changed.IsZero() && now.Sub(l.changed) >= flushRest
	})
	if len(old) == 0 || !a.due("flush", time.Second) {
		return
	}
	oldest := a.oldest(old)
	do("flush block "+oldest.name(), a.locked(oldest.name(), func(c context.Context) error { return a.flush(c, oldest) }, nil))
}

// oldest is the lease whose object was not written for longest.
func (a *Allocator) oldest(of []*lease) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.MinFunc(of, func(x, y *lease) int { return x.changed.Compare(y.changed) })
}

// locked does something while nobody else works on the object. The name is
// taken out of the set, and put back if it fails.
func (a *Allocator) locked(name string, f func(context.Context) error, back map[string]struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		unlock, err := a.lockName(ctx, name)
		a.mu.Lock()
		delete(back, name)
		a.mu.Unlock()
		if err == nil {
			err = f(ctx)
			unlock()
		}
		if err != nil && back != nil {
			a.mu.Lock()
			back[name] = struct{}{}
			a.mu.Unlock()
		}
		return err
	}
}

// todo is the work of a set; locked takes each name out as it begins.
func (a *Allocator) todo(set map[string]struct{}) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(set))
}

// leases are those that match, always in the same order, so that a simulation
// can be repeated.
func (a *Allocator) leases(match func(*lease) bool) (out []*lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, domain := range slices.Sorted(maps.Keys(a.spaces)) {
		for _, l := range a.spaces[domain].leases {
			if !l.local && match(l) {
				out = append(out, l)
			}
		}
	}
	return out
}

func (a *Allocator) endings() map[string]ending {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]ending, len(a.ending))
	for name, e := range a.ending {
		out[name] = *e
	}
	return out
}

// endIfStill deletes an Address object unless it is needed again meanwhile.
func (a *Allocator) endIfStill(ctx context.Context, name string, e ending) error {
	a.mu.Lock()
	now := a.ending[name]
	a.mu.Unlock()
	if now == nil || *now != e {
		return nil
	}
	return a.unbind(ctx, name, e)
}

// due tells whether some work was last done long enough ago, and notes that it
// is done now.
func (a *Allocator) due(what string, rest time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if now.Sub(a.last[what]) < rest {
		return false
	}
	a.last[what] = now
	return true
}

// watcher turns what is seen of our blocks into work. What is seen may be old:
// each piece of work looks again before it acts.
type watcher struct{ a *Allocator }

func (w watcher) Reset(all []Block) {
	w.a.mu.Lock()
	seen := make(map[string]struct{}, len(all))
	for _, b := range all {
		seen[b.Name] = struct{}{}
	}
	for _, s := range w.a.spaces {
		for _, l := range s.leases {
			if _, ok := seen[l.name()]; !ok && !l.local && l.standing != leaving {
				w.a.suspect[l.name()] = struct{}{}
			}
		}
	}
	w.a.mu.Unlock()
	for _, b := range all {
		w.Changed(b)
	}
	w.a.nudge()
}

func (w watcher) Changed(b Block) {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	l := w.a.space(b.Domain).find(b.Prefix.Addr())
	if l == nil || l.uid != b.UID || b.State == v1alpha1.BlockQuarantined {
		w.a.suspect[b.Name] = struct{}{}
		w.a.nudge()
	}
	for _, r := range b.Requests {
		if r.Answer == "" {
			if l != nil {
				l.requested = true
			}
			w.a.question(b.Name)
		}
	}
}

func (w watcher) Gone(b Block) {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	s := w.a.space(b.Domain)
	if l := s.find(b.Prefix.Addr()); l != nil && l.uid == b.UID && l.standing != leaving {
		// Not ours any more: give out nothing until it is claimed again.
		l.standing = lost
		s.settle(l)
		w.a.suspect[b.Name] = struct{}{}
		w.a.nudge()
	}
}
