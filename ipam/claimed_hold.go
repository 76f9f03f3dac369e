package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// errNotOurs: an address that a claim lists is not bound to it.
var errNotOurs = errors.New("the address is not the claim's")

// hold makes an interface the owner of an address of a claim, or the second
// who has it, if its virtual machine migrates. Whoever else has it now is waited
// for a little.
func (a *Allocator) hold(ctx context.Context, owner Owner, p *Pool, c Claim, x netip.Addr, migrates bool) (slot, error) {
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		s, other, err := a.tryHold(ctx, owner, p, c, x, migrates)
		if err != nil || other == nil {
			return s, err
		}
		if !rest(ctx, pause) {
			return slot{}, inUse(c, x, *other, owner)
		}
	}
}

// tryHold looks once. Other is who has the address, if somebody has.
func (a *Allocator) tryHold(ctx context.Context, owner Owner, p *Pool, c Claim, x netip.Addr, migrates bool) (_ slot, other *Address, err error) {
	name, doing := objectName(p.Domain, x), fmt.Sprintf("take address %s of IPClaim %s/%s", x, c.Namespace, c.Name)
	unlock, err := a.lockName(ctx, name)
	if err != nil {
		return slot{}, nil, unavailable(doing, err)
	}
	defer unlock()
	a.mu.Lock()
	e := a.ending[name]
	a.mu.Unlock()
	if e != nil { // the interface before us is gone, and the object does not say so yet
		if err := a.unbind(ctx, name, *e); err != nil {
			return slot{}, nil, unavailable(doing, err)
		}
	}
	for {
		got, err := a.Store.GetAddress(ctx, name)
		switch {
		case errors.Is(err, ErrNotFound):
			return slot{}, nil, errNotOurs
		case err != nil:
			return slot{}, nil, unavailable(doing, err)
		case got.Claim.UID != c.UID:
			return slot{}, nil, errNotOurs
		}
		shared := false
		switch ours := got.has(a.NodeUID, owner.Key); {
		case ours:
			shared = got.Owner.Key != owner.Key
		case got.Incoming.NodeUID == a.NodeUID && migrates && !a.holds(got.Incoming.Owner.Key):
			shared = true // a former sandbox of ours, whose record was lost with it
		case got.Incoming != Use{}:
			got.Node, got.NodeUID, got.Owner = got.Incoming.Node, got.Incoming.NodeUID, got.Incoming.Owner
			return slot{}, &got, nil
		case got.used():
			if shared = migrates && got.NodeUID != a.NodeUID; !shared {
				return slot{}, &got, nil
			}
		}
		// Written also if it is ours already: a write of ours that would end
		// that may be under way, and must come too late.
		mark := ending{uid: got.UID, spot: spot{p.Domain, x}, key: owner.Key, claimed: true}
		if err := a.mark(name, mark); err != nil {
			return slot{}, nil, err
		}
		if shared {
			got.Incoming = Use{a.Node, a.NodeUID, owner}
		} else {
			got.Node, got.NodeUID, got.Owner = a.Node, a.NodeUID, owner
		}
		made, err := a.Store.UpdateAddress(ctx, got)
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			if err := a.unbound(name); err != nil {
				return slot{}, nil, unavailable(doing, err)
			}
			continue
		}
		if err != nil {
			a.mu.Lock()
			a.ending[name] = &mark
			a.mu.Unlock()
			return slot{}, nil, unavailable(doing, err)
		}
		grant := p.grant(x)
		grant.Shared = shared
		return slot{Grant: grant, domain: p.Domain, bound: true, uid: made.UID, claim: c.Ref(), key: owner.Key}, nil, nil
	}
}

// used tells whether an interface has the address.
func (x Address) used() bool { return x.NodeUID != "" || x.Owner.Key != Key{} }

// inUse says who has a claim's address.
func inUse(c Claim, x netip.Addr, has Address, owner Owner) error {
	w := has.Owner
	r := &Refusal{Reason: ClaimInUse, Message: fmt.Sprintf("address %s of IPClaim %s/%s is in use by interface %s of Pod %s/%s on node %s", x, c.Namespace, c.Name, w.IfName, w.Namespace, w.Pod, has.Node),
		Fix: "it is tried again: delete that Pod, or name another claim"}
	if w.Namespace == owner.Namespace && w.Pod == owner.Pod {
		r.Message = fmt.Sprintf("address %s of IPClaim %s/%s is still in use by the former sandbox of this Pod on node %s", x, c.Namespace, c.Name, has.Node)
		r.Fix = fmt.Sprintf("it is tried again, and succeeds when the sandbox is gone; if node %s is gone for good, delete its Node object", has.Node)
	}
	return r
}

// mark logs what is to be undone, should this process end before it is known
// that it is not.
func (a *Allocator) mark(name string, e ending) error {
	if err := a.Log.Put(unbindKey+name, encodeEnding(e)); err != nil {
		return &Refusal{Reason: Unavailable, Message: fmt.Sprintf("log that address %s is being taken: %v", e.spot.addr, err), Fix: logFix}
	}
	return nil
}

// relinquish ends an interface's use of a claim's address. One that the claim
// does not list was made in vain and is deleted. The name is locked by the
// caller, and the interface is no more.
func (a *Allocator) relinquish(ctx context.Context, name string, e ending) error {
	for {
		got, err := a.Store.GetAddress(ctx, name)
		switch {
		case errors.Is(err, ErrNotFound):
			return a.unbound(name)
		case err != nil:
			return err
		case !got.has(a.NodeUID, e.key) || a.usedElsewhere(got):
			return a.unbound(name)
		}
		listed := true
		if e.fresh && got.Incoming == (Use{}) {
			if listed, err = a.listed(ctx, got); err != nil {
				return err
			}
		}
		if listed {
			_, err = a.Store.UpdateAddress(ctx, got.without(a.NodeUID, e.key))
		} else {
			err = a.Store.DropAddress(ctx, got)
		}
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return a.unbound(name)
	}
}

// listed tells whether an address is one that its claim speaks of.
func (a *Allocator) listed(ctx context.Context, x Address) (bool, error) {
	if x.Claim == (ClaimRef{}) {
		return false, nil
	}
	c, err := a.Store.GetClaim(ctx, x.Claim.Namespace, x.Claim.Name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && c.Lists(x), err
}

// Lists tells whether an address is one of the claim.
func (c Claim) Lists(x Address) bool {
	if x.Claim.UID != c.UID {
		return false
	}
	for _, e := range c.Has {
		if e.Domain == x.Domain && e.Address.Addr() == x.Address {
			return true
		}
	}
	return false
}

// holds tells whether an interface of this node has addresses, or is about to.
func (a *Allocator) holds(key Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held[key] != nil || a.busy[key] != nil
}

// has tells whether an interface of a node is the owner of an address, or the
// second who has it.
func (x Address) has(nodeUID string, key Key) bool {
	return x.NodeUID == nodeUID && x.Owner.Key == key || x.Incoming.NodeUID == nodeUID && x.Incoming.Owner.Key == key
}

// without is the address when an interface has it no more: the other one, if
// there is one, is its owner then.
func (x Address) without(nodeUID string, key Key) Address {
	if x.NodeUID == nodeUID && x.Owner.Key == key {
		x.Node, x.NodeUID, x.Owner = x.Incoming.Node, x.Incoming.NodeUID, x.Incoming.Owner
	}
	x.Incoming = Use{}
	return x
}

// WithoutNode is the address of a claim when a node is lost: what its
// interfaces had is the other node's, if a virtual machine was on its way
// between them.
func (x Address) WithoutNode(nodeUID string) Address {
	if x.Incoming.NodeUID == nodeUID {
		x = x.without(nodeUID, x.Incoming.Owner.Key)
	}
	if x.NodeUID == nodeUID {
		x = x.without(nodeUID, x.Owner.Key)
	}
	return x
}

// rightOf tells whether an object is an interface's right to the address. What
// is bound to no claim has one interface all its life.
func (x Address) rightOf(nodeUID string, key Key) bool {
	return x.Claim == ClaimRef{} && x.NodeUID == nodeUID || x.has(nodeUID, key)
}
