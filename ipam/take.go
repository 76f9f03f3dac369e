package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// Take gives an interface one address for each want, or none at all and a
// Refusal. The same Key gets the same addresses again. It writes to the API
// server only when nothing that this node holds fits.
func (a *Allocator) Take(ctx context.Context, owner Owner, wants []Want) (grants []Grant, err error) {
	begun := time.Now()
	defer func() { a.metrics.took(time.Since(begun), err) }()
	wants = slices.Clone(wants)
	shared := false
	for i := range wants {
		wants[i].Pool = wants[i].Pool.parsed()
		if err := check(&wants[i]); err != nil {
			return nil, err
		}
		shared = shared || !wants[i].Pool.Local
	}
	for {
		a.mu.Lock()
		if h := a.held[owner.Key]; h != nil {
			defer a.mu.Unlock()
			return h.again(wants)
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
	if a.started || !shared {
		if grants, _, err := a.commit(owner, wants, nil); grants != nil || err != nil {
			a.mu.Unlock()
			return grants, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
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
	return a.takeSlowly(ctx, at, owner, wants, shared)
}

// takeSlowly gets what is missing from the API server, want by want.
func (a *Allocator) takeSlowly(ctx context.Context, at *attempt, owner Owner, wants []Want, shared bool) (grants []Grant, err error) {
	rights := make([]slot, len(wants))
	defer func() {
		if grants == nil {
			a.abandon(rights)
		}
	}()
	if shared {
		select {
		case <-a.ready:
		case <-ctx.Done():
			if at.gone(a) {
				return nil, deleted(owner)
			}
			return nil, unavailable("take addresses for "+owner.Key.String(), errors.New("this node's blocks are not known yet"))
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
		grants, missing, err := a.commit(owner, wants, rights)
		a.mu.Unlock()
		if grants != nil || err != nil {
			return grants, err
		}
		if rights[missing], err = a.obtain(ctx, owner, wants, missing); err != nil {
			if at.gone(a) {
				return nil, deleted(owner)
			}
			return nil, err
		}
		if ctx.Err() != nil {
			if at.gone(a) {
				return nil, deleted(owner)
			}
			return nil, unavailable("take an address of pool "+wants[missing].Pool.Name, ctx.Err())
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
func (a *Allocator) obtain(ctx context.Context, owner Owner, wants []Want, missing int) (slot, error) {
	w, need := wants[missing], 0
	if w.Static.IsValid() {
		return a.bind(ctx, owner, &w.Pool, w.Static)
	}
	for _, other := range wants {
		// Two wants may draw on the same addresses.
		if !other.Static.IsValid() && other.Pool.Domain == w.Pool.Domain && other.Pool.Prefix.Overlaps(w.Pool.Prefix) {
			need++
		}
	}
	err := a.acquire(ctx, w.Pool, need)
	var full *exhausted
	if errors.As(err, &full) {
		return a.steal(ctx, owner, &w.Pool, full)
	}
	return slot{}, err
}

// check refuses what can never be given.
func check(w *Want) error {
	switch {
	case !w.Pool.Prefix.IsValid() || w.Pool.Domain == "":
		return bad("pool "+w.Pool.Name+" has no subnet", "correct the pool")
	case w.Static.IsValid():
		w.Static = w.Static.Unmap()
		return w.Pool.Refuse(w.Static)
	case len(w.Pool.spans) == 0:
		return &Refusal{Reason: PoolFull, Message: "pool " + w.Pool.Name + " has no address to give: all of " + w.Pool.Prefix.String() + " is excluded", Fix: "make its ranges larger"}
	}
	return nil
}

// commit gives all wants from rights and from what is held, logs it and
// returns the grants. If one cannot be given nothing changes and it returns
// which. Called with mu held.
func (a *Allocator) commit(owner Owner, wants []Want, rights []slot) (grants []Grant, missing int, err error) {
	type mark struct {
		l     *lease
		place int
	}
	now := time.Now()
	var marks [4]mark
	taken := marks[:0]
	h := &held{owner: owner, slots: make([]slot, 0, len(wants))}
	undo := func() {
		for _, m := range taken {
			m.l.used &^= 1 << m.place
			a.space(m.l.domain).settle(m.l)
		}
	}
	for i := range wants {
		p := &wants[i].Pool
		if rights != nil && rights[i].Address.IsValid() {
			h.slots = append(h.slots, rights[i])
			continue
		}
		l, place, err := a.find(p, wants[i].Static)
		if l == nil || err != nil {
			undo()
			return nil, i, err
		}
		l.used |= 1 << place
		a.space(p.Domain).settle(l)
		taken = append(taken, mark{l, place})
		h.slots = append(h.slots, slot{Grant: p.grant(l.at(place)), domain: p.Domain, local: l.local, unit: int(l.unit)})
	}
	if err := a.record(h); err != nil {
		undo()
		return nil, 0, err
	}
	for _, m := range taken {
		m.l.take(m.place, now)
	}
	for i := range wants {
		a.prefetch(&wants[i].Pool, now)
	}
	return h.grants(), 0, nil
}

// record logs a holding and then keeps it.
func (a *Allocator) record(h *held) error {
	value, err := h.encode()
	if err == nil {
		err = a.Log.Put(heldKey+h.owner.Key.String(), value)
	}
	if err != nil {
		return &Refusal{Reason: Unavailable, Message: fmt.Sprintf("log the addresses of %s: %v", h.owner.Key, err), Fix: "check the space on the file system of /run on the node"}
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

func (a *Allocator) keep(h *held) {
	a.held[h.owner.Key] = h
	for _, s := range h.slots {
		a.by[spot{s.domain, s.Address.Addr()}] = h
	}
}

// find looks for an address in what is held: the static one, or any.
func (a *Allocator) find(p *Pool, static netip.Addr) (*lease, int, error) {
	s := a.space(p.Domain)
	if !static.IsValid() {
		l, place := s.pick(p, p.Size() <= strictSize)
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
	l := s.find(static)
	if l == nil && p.Local {
		l = a.localLease(s, static)
	}
	if l != nil && l.free()&(1<<l.place(static)) != 0 {
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

// again answers a Take for a Key that has addresses.
func (h *held) again(wants []Want) ([]Grant, error) {
	fits := len(wants) == len(h.slots)
	for i := 0; fits && i < len(wants); i++ {
		s := h.slots[i]
		fits = s.domain == wants[i].Pool.Domain && wants[i].Pool.Prefix.Contains(s.Address.Addr()) &&
			(!wants[i].Static.IsValid() || wants[i].Static == s.Address.Addr())
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
				return l, l.choose(l.free()&p.mask(l.prefix), true)
			}
			x = after(blockOf(x, mostUnit))
		}
	}
	return nil, 0
}

func (a *Allocator) localLease(s *space, x netip.Addr) *lease {
	l := newLease(s.domain, blockOf(x, mostUnit), "", owned, time.Now())
	l.local = true
	s.add(l)
	return l
}

func (a *Allocator) localFull(s *space, p *Pool) error {
	used := 0
	for _, l := range s.leases {
		used += bits.OnesCount64(l.used & p.mask(l.prefix))
	}
	return &Refusal{Reason: PoolFull, Message: fmt.Sprintf("pool %s is full: %d of %d addresses of %s are in use on node %s", p.Name, used, p.Size(), p.Prefix, a.Node),
		Fix: "give the nodes larger podCIDRs, or lower their maxPods"}
}
