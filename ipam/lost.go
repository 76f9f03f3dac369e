package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// verify looks at a block that may be ours without our knowing, or may be ours
// no more. The name is locked by the caller.
func (a *Allocator) verify(ctx context.Context, name string) error {
	b, err := a.Store.GetBlock(ctx, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	a.mu.Lock()
	l := a.leaseNamed(name)
	switch {
	case err == nil && b.NodeUID == a.NodeUID && l != nil && l.standing == leaving:
		a.mu.Unlock()
		return nil // depart has it
	case err == nil && b.NodeUID == a.NodeUID && l != nil && l.uid == b.UID:
		if l.standing == lost {
			l.standing = unconfirmed
		}
		a.mu.Unlock()
		if b.State == v1alpha1.BlockQuarantined {
			return a.object(ctx, b, l)
		}
		return a.confirm(ctx, nil, l)
	case err == nil && b.NodeUID == a.NodeUID && l != nil:
		l.uid, l.standing = b.UID, unconfirmed
		a.space(l.domain).settle(l)
		a.mu.Unlock()
		return a.confirm(ctx, nil, l)
	case err == nil && b.NodeUID == a.NodeUID:
		a.mu.Unlock()
		if l = a.enter(b); l == nil {
			return a.discard(ctx, b)
		}
		return a.confirm(ctx, nil, l)
	case l == nil || l.standing == leaving:
		a.mu.Unlock()
		return nil
	}
	// Ours no more. What took it may have taken bound addresses too.
	delete(a.last, "bound")
	l.standing = lost
	used := l.used
	s := a.space(l.domain)
	s.remove(l)
	a.mu.Unlock()
	if used != 0 {
		a.Logger.Error("block of this node is gone while addresses of it are in use: claiming it again", "block", name, "prefix", l.prefix, "inUse", popcount(used))
	}
	for ; used != 0; used &= used - 1 {
		if err := a.reclaimBlock(ctx, l.domain, l.at(bits.TrailingZeros64(used)), int(l.unit)); err != nil {
			a.mu.Lock()
			l.standing = lost
			s.add(l) // to be looked at again
			a.mu.Unlock()
			return err
		}
	}
	for _, l := range a.leases(func(x *lease) bool {
		return x.standing == unconfirmed && x.prefix.Overlaps(l.prefix) && x.domain == l.domain
	}) {
		if err := a.confirm(ctx, nil, l); err != nil {
			return err
		}
	}
	return nil
}

// object takes the mark off a block of ours that was put in quarantine because
// this node is thought to be lost: that proves that it runs, and whoever would
// release the block sees that it changed. A block that nothing uses is given
// back instead.
func (a *Allocator) object(ctx context.Context, b Block, l *lease) error {
	a.mu.Lock()
	if l.used|l.resting == 0 && l.standing == owned && a.leave(l) {
		a.mu.Unlock()
		return a.depart(ctx, l)
	}
	a.describe(&b, l)
	a.mu.Unlock()
	b.State = v1alpha1.BlockOwned
	a.Logger.Warn("this node is thought to be lost, and is not", "block", b.Name, "prefix", b.Prefix)
	_, err := a.Store.UpdateBlock(ctx, b)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil // what changed is told, and looked at
	}
	if err == nil {
		a.flushed(l, b)
		return a.confirm(ctx, nil, l)
	}
	return err
}

// leaseNamed finds a lease by its object's name. Called with mu held.
func (a *Allocator) leaseNamed(name string) *lease {
	for _, s := range a.spaces {
		if len(name) <= len(s.domain) || name[:len(s.domain)] != s.domain {
			continue
		}
		for _, l := range s.leases {
			if !l.local && l.name() == name {
				return l
			}
		}
	}
	return nil
}

// checkBound looks whether the objects of the bound addresses in use are still
// there.
func (a *Allocator) checkBound(ctx context.Context) error {
	a.mu.Lock()
	type right struct {
		uid string
		key Key
	}
	missing := map[spot]right{}
	for x, h := range a.by {
		for _, s := range h.slots {
			if s.bound && s.domain == x.domain && s.Address.Addr() == x.addr {
				missing[x] = right{s.uid, h.owner.Key}
			}
		}
	}
	a.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	mine, err := a.Store.ListAddresses(ctx, Scope{NodeUID: a.NodeUID})
	if err != nil {
		return err
	}
	if mine, err = a.withIncoming(ctx, mine); err != nil {
		return err
	}
	for _, x := range mine {
		if r := missing[spot{x.Domain, x.Address}]; r.uid == x.UID && x.rightOf(a.NodeUID, r.key) {
			delete(missing, spot{x.Domain, x.Address})
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for x := range missing {
		a.evicted[x] = struct{}{}
		a.Logger.Error("the object of an address in use is gone: binding it again", "address", x.addr, "domain", x.domain)
	}
	return nil
}

// withIncoming adds to the addresses that are listed under this node those
// that a virtual machine brings along: they are listed under the node that it
// comes from.
func (a *Allocator) withIncoming(ctx context.Context, mine []Address) ([]Address, error) {
	listed := map[spot]bool{}
	for _, x := range mine {
		listed[spot{x.Domain, x.Address}] = true
	}
	a.mu.Lock()
	var names []string
	for x, h := range a.by {
		for _, s := range h.slots {
			if s.bound && s.claim != (ClaimRef{}) && s.domain == x.domain && s.Address.Addr() == x.addr && !listed[x] {
				names = append(names, objectName(x.domain, x.addr))
			}
		}
	}
	a.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		got, err := a.Store.GetAddress(ctx, name)
		switch {
		case err == nil:
			mine = append(mine, got)
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return mine, nil
}

// evictions are addresses in use to which the right is missing.
func (a *Allocator) evictions() (out []spot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for x := range a.evicted {
		out = append(out, x)
	}
	slices.SortFunc(out, func(x, y spot) int { return x.addr.Compare(y.addr) })
	return out
}

// rebind binds an address in use by an object of its own, and asks the owner
// of the block it lies in for it. Until that succeeds the address is frozen:
// its interface keeps it and it is not given out again.
func (a *Allocator) rebind(ctx context.Context, x spot) error {
	name := objectName(x.domain, x.addr)
	unlock, err := a.lockName(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	a.mu.Lock()
	h, s := a.holder(x)
	if h == nil {
		delete(a.evicted, x)
		a.mu.Unlock()
		return nil
	}
	claim := s.claim
	a.mu.Unlock()
	p := &Pool{Name: s.Pool, Domain: x.domain, Prefix: s.Address.Masked()}
	want := Address{Meta: Meta{Name: name}, Domain: x.domain, Address: x.addr, Pool: s.Pool, Node: a.Node, NodeUID: a.NodeUID, Owner: h.owner, Claim: claim}
	got, err := a.Store.CreateAddress(ctx, want)
	if errors.Is(err, ErrExists) {
		got, err = a.Store.GetAddress(ctx, name)
	}
	if err == nil && !got.used() && got.Claim == claim && claim != (ClaimRef{}) {
		// It was taken from this interface, and nobody has it.
		want.Meta = got.Meta
		got, err = a.Store.UpdateAddress(ctx, want)
	}
	if err != nil {
		return err
	}
	bound := got.rightOf(a.NodeUID, h.owner.Key)
	conflict := ""
	if !bound {
		conflict = "it is bound to " + got.Owner.Namespace + "/" + got.Owner.Pod + " on node " + got.Node
	} else {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := a.clear(short, p, x.addr, false)
		if ReasonOf(err) == Taken {
			conflict = err.Error()
		} else if err != nil {
			return err
		}
	}
	if conflict != "" {
		a.Logger.Error("two interfaces may have one address: this one keeps it, it is not given out again", "address", x.addr, "domain", x.domain, "interface", h.owner.Key, "pod", h.owner.Namespace+"/"+h.owner.Pod, "because", conflict)
	}
	return a.rebound(x, bound, got.UID, conflict != "", claim, h.owner.Key)
}

// rebound logs the new right, unless the holding went away meanwhile.
func (a *Allocator) rebound(x spot, bound bool, uid string, frozen bool, claim ClaimRef, key Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.evicted, x)
	h, s := a.holder(x)
	if h == nil || claim != (ClaimRef{}) && h.owner.Key != key {
		if bound {
			e := ending{uid: uid, spot: x}
			if claim != (ClaimRef{}) {
				e.claimed, e.key = true, key
			}
			a.ending[objectName(x.domain, x.addr)] = &e
		}
		return nil
	}
	if l := a.space(x.domain).find(x.addr); bound && l != nil {
		l.cutAt(l.place(x.addr))
		l.used &^= 1 << l.place(x.addr)
		a.space(x.domain).settle(l)
	}
	s.bound, s.uid, s.frozen = bound, uid, frozen
	if err := a.record(h); err != nil {
		return fmt.Errorf("log the right to %s: %w", x.addr, err)
	}
	return nil
}

// holder finds the slot of an address in use. Called with mu held.
func (a *Allocator) holder(x spot) (*held, *slot) {
	h := a.by[x]
	if h == nil {
		return nil, nil
	}
	for i := range h.slots {
		if s := &h.slots[i]; s.domain == x.domain && s.Address.Addr() == x.addr {
			return h, s
		}
	}
	return nil, nil
}
