package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"
)

// Take gives an interface one address for each want, or none at all and a
// Refusal. The same Key gets the same addresses again. It writes to the API
// server only when nothing that this node holds fits.
func (a *Allocator) Take(ctx context.Context, owner Owner, wants []Want) (grants []Grant, err error) {
	return a.take(ctx, owner, wants, false)
}

// take is Take; more gives addresses beside those that the interface has.
func (a *Allocator) take(ctx context.Context, owner Owner, wants []Want, more bool) (grants []Grant, err error) {
	begun := time.Now()
	defer func() { a.metrics.took(time.Since(begun), err) }()
	requests, shared, err := newRequests(wants)
	if err != nil {
		return nil, err
	}
	for {
		a.mu.Lock()
		if h := a.held[owner.Key]; h != nil && !more {
			defer a.mu.Unlock()
			return h.again(requests)
		}
		other := a.busy[owner.Key]
		if other == nil {
			break
		}
		a.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, unavailable("take addresses for "+owner.Key.String(), ctx.Err())
		}
	}
	claimed := claimingOf(requests) != nil
	if !claimed && (a.started || !shared) {
		if grants, _, err := a.commit(owner, requests); grants != nil || err != nil {
			a.mu.Unlock()
			return grants, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, slowTake*a.Patience)
	defer cancel()
	at := &attempt{done: make(chan struct{}), cancel: cancel}
	a.busy[owner.Key] = at
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.busy, owner.Key)
		a.mu.Unlock()
		close(at.done)
	}()
	return a.takeSlowly(ctx, at, owner, requests, shared, claimed)
}

// slowTake is how many patiences a Take waits as long as answers come.
const slowTake = 4

// soon is for work that ends when one patience is over.
func (a *Allocator) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.Patience)
}

// takeSlowly gets what is missing from the API server, want by want.
func (a *Allocator) takeSlowly(ctx context.Context, at *attempt, owner Owner, requests []request, shared, claimed bool) (grants []Grant, err error) {
	defer func() {
		a.abandon(requests, grants == nil)
	}()
	if shared {
		soon, cancel := a.soon(ctx)
		defer cancel()
		select {
		case <-a.ready:
		case <-soon.Done():
			if at.gone(a) {
				return nil, deleted(owner)
			}
			return nil, unavailable("take addresses for "+owner.Key.String(), errors.New("this node's blocks are not known yet"))
		}
	}
	if claimed {
		soon, cancel := a.soon(ctx)
		err := a.claimed(soon, owner, requests)
		cancel()
		if err != nil {
			if at.gone(a) {
				return nil, deleted(owner)
			}
			return nil, err
		}
	}
	for round := 0; ; round++ {
		if round > 2 { // others took what we got: let them pass
			time.Sleep(time.Millisecond)
		}
		a.mu.Lock()
		if at.cancelled {
			a.mu.Unlock()
			return nil, deleted(owner)
		}
		grants, missing, err := a.commit(owner, requests)
		a.mu.Unlock()
		if grants != nil || err != nil {
			return grants, err
		}
		r := &requests[missing]
		if r.lacksToken {
			r.token, err = a.obtainToken(ctx, owner, requests, r)
		} else {
			r.right, err = a.obtain(ctx, owner, requests, r)
		}
		if err != nil {
			if at.gone(a) {
				return nil, deleted(owner)
			}
			if len(r.Alternatives) > 0 {
				a.isFull(r.pool(), err)
			}
			if again, err := r.next(err); !again {
				return nil, err
			}
		}
		if ctx.Err() != nil {
			if at.gone(a) {
				return nil, deleted(owner)
			}
			return nil, unavailable("take an address of pool "+r.pool().Name, ctx.Err())
		}
	}
}

func (at *attempt) gone(a *Allocator) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return at.cancelled
}

func deleted(owner Owner) error {
	return &Refusal{Reason: Deleted, Message: "interface " + owner.Key.String() + " was deleted while it was being made"}
}

// obtain makes a want possible: by claiming blocks, which the next commit
// finds, or by binding one address, which is the right that it returns.
func (a *Allocator) obtain(ctx context.Context, owner Owner, requests []request, r *request) (slot, error) {
	p, need := r.pool(), 0
	if r.Static.IsValid() {
		ctx, cancel := a.soon(ctx)
		defer cancel()
		a.metrics.misses.WithLabelValues("bind").Inc()
		return a.bind(ctx, owner, p, r.Static, ClaimRef{})
	}
	for i := range requests {
		// Two wants may draw on the same addresses.
		other := requests[i].pool()
		if !requests[i].Static.IsValid() && other.Domain == p.Domain && other.Prefix.Overlaps(p.Prefix) {
			need++
		}
	}
	a.metrics.misses.WithLabelValues("claim").Inc()
	begun := time.Now()
	a.queue(ctx, p)
	for {
		err := a.acquire(ctx, *p, need)
		var full *exhausted
		if !errors.As(err, &full) {
			a.served(p)
			return slot{}, err
		}
		s, err := a.steal(ctx, owner, p, full, ClaimRef{})
		last := r.at == len(r.Alternatives)
		if ReasonOf(err) != PoolFull || !last || !full.others() || time.Since(begun) > reluctance {
			return s, err
		}
		select {
		case <-time.After(a.pace(p)):
		case <-ctx.Done():
			return s, err
		}
		a.mu.Lock()
		freed := a.space(p.Domain).count(p, 1) > 0
		a.mu.Unlock()
		if freed {
			a.served(p)
			return slot{}, nil
		}
	}
}

// reluctance is for how long a pool must look full before a Pod is refused: what a look shows of other nodes is as old as what they last
// told, and they tell within this time that a block which seemed full is not.
const reluctance = 700 * time.Millisecond

// commit gives all that is requested from rights and from what is held, logs
// it and returns the grants. If one cannot be given nothing changes and it
// returns which. Called with mu held.
func (a *Allocator) commit(owner Owner, requests []request) (grants []Grant, missing int, err error) {
	now := time.Now()
	a.wake(now)
	d := draft{a: a, owner: owner}
	d.marks = d.room[:0]
	h := &held{owner: owner, slots: make([]slot, 0, len(requests))}
	for i := range requests {
		s, ok, err := d.give(&requests[i])
		if !ok {
			d.undo(0)
			return nil, i, err
		}
		h.slots = append(h.slots, s)
	}
	h.slots = append(h.slots, d.tokens...)
	if err := a.record(h.over(a.held[owner.Key])); err != nil {
		d.undo(0)
		return nil, 0, err
	}
	for _, m := range d.marks {
		m.l.take(m.place, now)
	}
	for i := range requests {
		a.prefetch(requests[i].pool(), now)
		if t := a.tokens(requests[i].pool(), owner.Namespace); t != nil {
			a.prefetch(t, now)
		}
	}
	return h.grants(), 0, nil
}

// draft is a commit that may still be undone.
type draft struct {
	a      *Allocator
	owner  Owner
	tokens []slot
	marks  []mark
	room   [6]mark
}

// mark is an address that is used from now on.
type mark struct {
	l     *lease
	place int
}

func (d *draft) use(l *lease, place int) {
	l.used |= 1 << place
	d.a.space(l.domain).settle(l)
	d.marks = append(d.marks, mark{l, place})
}

// undo takes back all but so many marks.
func (d *draft) undo(keep int) {
	for _, m := range d.marks[keep:] {
		m.l.used &^= 1 << m.place
		d.a.space(m.l.domain).settle(m.l)
	}
	d.marks = d.marks[:keep]
}

// give finds what is requested, and the token that it costs, in what is held.
// It turns to the next pool if one is known to be full.
func (d *draft) give(r *request) (s slot, ok bool, err error) {
	for {
		marks, tokens := len(d.marks), len(d.tokens)
		p := r.pool()
		if s, ok := d.own(p, r.Static); ok {
			return s, true, nil
		}
		if r.lacksToken = !d.token(r, p); r.lacksToken {
			return slot{}, false, nil
		}
		if r.right.Address.IsValid() {
			return r.right, true, nil
		}
		l, place, err := d.a.find(p, r.Static)
		if l != nil {
			d.use(l, place)
			return slot{Grant: p.grant(l.at(place)), domain: p.Domain, local: l.local, unit: int(l.unit), rest: p.restOf()}, true, nil
		}
		if err == nil && len(r.Alternatives) > 0 {
			err = d.a.wasFull(p)
		}
		d.undo(marks)
		d.tokens = d.tokens[:tokens]
		if again, err := r.next(err); !again {
			return slot{}, false, err
		}
	}
}

// token finds the token that an address of p costs.
func (d *draft) token(r *request, p *Pool) bool {
	t := d.a.tokens(p, d.owner.Namespace)
	if t == nil {
		return true
	}
	if r.token.Address.IsValid() {
		d.tokens = append(d.tokens, r.token)
		return true
	}
	if len(t.spans) == 0 {
		return false // the quota is 0
	}
	l, place := d.a.space(t.Domain).pick(t, true)
	if l == nil {
		return false
	}
	d.use(l, place)
	d.tokens = append(d.tokens, slot{Grant: t.grant(l.at(place)), domain: t.Domain, unit: int(l.unit), token: true})
	return true
}

// record logs a holding and then keeps it.
func (a *Allocator) record(h *held) error {
	value, err := h.encode()
	if err == nil {
		err = a.Log.Put(heldKey+h.owner.Key.String(), value)
	}
	if err != nil {
		a.metrics.log.Inc()
		return &Refusal{Reason: Unavailable, Message: fmt.Sprintf("log the addresses of %s: %v", h.owner.Key, err), Fix: logFix}
	}
	a.keep(h)
	for _, s := range h.slots {
		if s.bound {
			// It was marked for deletion until here, in case of a crash.
			a.spared(objectName(s.domain, s.Address.Addr()))
		}
	}
	return nil
}

// logFix is what to do when the log does not take a record; the error names its
// file.
const logFix = "make room on the file system of that file on the node, or make it writable: it is tried again"

func (a *Allocator) keep(h *held) {
	a.held[h.owner.Key] = h
	for _, s := range h.slots {
		a.by[spot{s.domain, s.Address.Addr()}] = h
		if s.domain == "" {
			a.stray(s.Address.Addr(), h)
		}
	}
}

// find looks for an address in what is held: the static one, or any.
func (a *Allocator) find(p *Pool, static netip.Addr) (*lease, int, error) {
	s := a.space(p.Domain)
	if !static.IsValid() {
		l, place := s.pick(p, p.strict())
		if l == nil && p.Local {
			l, place = a.openLocal(s, p)
		}
		if l == nil && p.Local {
			return nil, 0, a.localFull(s, p)
		}
		return l, place, nil
	}
	if h := a.by[spot{p.Domain, static}]; h != nil {
		return nil, 0, takenBy(p, static, h.owner, "")
	}
	if h := a.strays[static]; h != nil {
		return nil, 0, takenBy(p, static, h.owner, "")
	}
	if q := a.strangers[spot{p.Domain, static}]; q != nil && p.Local {
		if err := a.pardon(*q); err != nil {
			return nil, 0, err
		}
	}
	l := s.find(static)
	if l == nil && p.Local {
		l = a.localLease(s, static)
	}
	if l != nil && l.open()&(1<<l.place(static)) != 0 {
		return l, l.place(static), nil
	}
	return nil, 0, nil
}

// takenBy says who has an address.
func takenBy(p *Pool, x netip.Addr, w Owner, node string) error {
	who := "interface " + w.IfName + " of Pod " + w.Namespace + "/" + w.Pod
	if w.Pod == "" {
		who = "interface " + w.Key.String()
	}
	if node != "" {
		who += " on node " + node
	}
	return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is in use by %s", x, p.Name, who),
		Fix: "ask for another address, or delete that Pod"}
}

// takenFrom says whose an address is that an object binds.
func takenFrom(p *Pool, x netip.Addr, got Address) error {
	if q := got.Quarantine; q != nil {
		return strangerHas(p, x, q.MAC, q.Node, q.Seen.Add(q.Lasts))
	}
	if got.Reserved != "" {
		return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is reserved: %s", x, p.Name, got.Reserved),
			Fix: "ask for another address, or give that one free: tsunagu address release " + got.Name}
	}
	if got.used() || got.Claim == (ClaimRef{}) {
		return takenBy(p, x, got.Owner, got.Node)
	}
	return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is kept for IPClaim %s/%s", x, p.Name, got.Claim.Namespace, got.Claim.Name),
		Fix: fmt.Sprintf("ask for another address, or give that one up: kubectl -n %s delete ipclaim %s", got.Claim.Namespace, got.Claim.Name)}
}

// again answers a Take for a Key that has addresses.
func (h *held) again(requests []request) ([]Grant, error) {
	fits := len(requests) == h.addresses()
	for i := 0; fits && i < len(requests); i++ {
		s := h.slots[i]
		fits = requests[i].fits(s.domain, s.Address.Addr())
	}
	if !fits {
		return nil, &Refusal{Reason: HoldsOther, Message: fmt.Sprintf("interface %s holds other addresses than it asks for now", h.owner.Key), Fix: "delete the sandbox first; the runtime does so by itself"}
	}
	return h.grants(), nil
}

// openLocal opens the lowest block of a Local pool with an address that is
// free.
func (a *Allocator) openLocal(s *space, p *Pool) (*lease, int) {
	for _, r := range p.spans {
		for x := r.First; x.IsValid() && !r.Last.Less(x); {
			if s.find(x) == nil {
				l := a.localLease(s, x)
				if m := l.free() & p.mask(l.prefix); m != 0 {
					return l, l.choose(m, true)
				}
			}
			x = after(blockOf(x, mostUnit))
		}
	}
	return nil, 0
}

func (a *Allocator) localLease(s *space, x netip.Addr) *lease {
	l := newLease(s.domain, blockOf(x, mostUnit), "", owned, time.Now())
	l.local = true
	a.shun(l)
	s.add(l)
	return l
}

func (a *Allocator) localFull(s *space, p *Pool) error {
	used := 0
	for _, l := range s.leases {
		used += bits.OnesCount64(l.used & p.mask(l.prefix))
	}
	fix := "give the nodes larger podCIDRs, or lower their maxPods"
	if p.Domain != PodDomain {
		fix = "make the ranges of the network larger, or delete Pods that have addresses of them"
	}
	return &Refusal{Reason: PoolFull, Message: fmt.Sprintf("pool %s is full: %d of %d addresses of %s are in use on node %s", p.Name, used, p.Size(), p.Prefix, a.Node), Fix: fix}
}
