package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// bind gets the right to one address by an Address object of its own: a static
// one that no block of ours covers, or one that another node gives up.
//
// Why this is safe (I3): the object's name is the lock between requesters. A
// block's owner looks for Address objects after the block was created and
// before it gives anything out; we create the object first and look for the
// block then. One of the two sees the other. If the block was there before,
// the address is ours only when its owner has cut it out, which the owner does
// after looking at its own log, or when the block is gone.
func (a *Allocator) bind(ctx context.Context, owner Owner, p *Pool, x netip.Addr, claim ClaimRef) (slot, error) {
	return a.bindAs(ctx, owner, p, x, claim, false)
}

// bindAs is bind; anyDoes says that another address would do as well.
func (a *Allocator) bindAs(ctx context.Context, owner Owner, p *Pool, x netip.Addr, claim ClaimRef, anyDoes bool) (slot, error) {
	name := objectName(p.Domain, x)
	unlock, err := a.lockName(ctx, name)
	if err != nil {
		return slot{}, unavailable("bind address "+x.String(), err)
	}
	defer unlock()
	undo := ending{spot: spot{p.Domain, x}}
	if claim != (ClaimRef{}) {
		undo.claimed, undo.fresh, undo.key = true, true, owner.Key
	}
	if err := a.prepare(ctx, p, x, name, undo, anyDoes); err != nil {
		return slot{}, err
	}
	got, err := a.create(ctx, owner, p, x, name, claim, undo, anyDoes)
	if err != nil {
		return slot{}, err
	}
	if err = a.clear(ctx, p, x, anyDoes); err == nil {
		err = a.reprieve(undo.spot)
	}
	if err != nil {
		undo.uid = got.UID
		a.mu.Lock()
		a.ending[name] = &undo
		a.mu.Unlock()
		a.nudge()
		return slot{}, err
	}
	return slot{Grant: p.grant(x), domain: p.Domain, bound: true, uid: got.UID, claim: claim, key: undo.key, fresh: undo.fresh}, nil
}

// prepare finishes a deletion of the same object that is still to be done, and
// logs what is about to be made, so that a crash leaves nothing behind.
func (a *Allocator) prepare(ctx context.Context, p *Pool, x netip.Addr, name string, undo ending, anyDoes bool) error {
	a.mu.Lock()
	e := a.ending[name]
	h := a.by[spot{p.Domain, x}]
	if h == nil {
		h = a.strays[x]
	}
	q := a.strangers[spot{p.Domain, x}]
	a.mu.Unlock()
	switch {
	case h != nil:
		return takenBy(p, x, h.owner, a.Node)
	case q != nil && anyDoes:
		return strangerHas(p, x, q.MAC, a.Node, q.Seen.Add(q.Lasts))
	}
	if e != nil {
		if err := a.unbind(ctx, name, *e); err != nil {
			return unavailable("bind address "+x.String(), err)
		}
	}
	return a.mark(name, undo)
}

// create makes the object, or finds who has it. Who asks for this address and
// no other gets it out of quarantine: nobody but the segment knows whether the
// stranger is still there, and the segment is asked before the Pod starts.
func (a *Allocator) create(ctx context.Context, owner Owner, p *Pool, x netip.Addr, name string, claim ClaimRef, undo ending, anyDoes bool) (Address, error) {
	want := Address{Meta: Meta{Name: name}, Domain: p.Domain, Address: x, Pool: p.Name, Node: a.Node, NodeUID: a.NodeUID, Owner: owner, Claim: claim}
	for range 3 {
		got, err := a.Store.CreateAddress(ctx, want)
		if err == nil {
			return got, nil
		}
		if !errors.Is(err, ErrExists) {
			a.mu.Lock()
			a.ending[name] = &undo
			a.mu.Unlock()
			return got, unavailable("bind address "+x.String(), err)
		}
		got, err = a.Store.GetAddress(ctx, name)
		if err == nil && got.Quarantine != nil && !anyDoes {
			want.Meta = got.Meta
			got, err = a.Store.UpdateAddress(ctx, want)
			if err == nil {
				return got, nil
			}
			want.Meta = Meta{Name: name}
		}
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict):
			continue
		case err != nil:
			a.mu.Lock()
			a.ending[name] = &undo
			a.mu.Unlock()
			return got, unavailable("bind address "+x.String(), err)
		case got.NodeUID == a.NodeUID && got.Owner.Key == owner.Key && got.Claim == claim:
			return got, nil // made by an earlier try whose answer was lost
		}
		if got.NodeUID != a.NodeUID {
			_ = a.unbound(name) // else the mark is of the interface that has it
		}
		return got, takenFrom(p, x, got)
	}
	_ = a.unbound(name)
	return Address{}, &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is being bound and freed by others", x, p.Name), Fix: "it is tried again"}
}

// clear makes sure that no block gives the address out.
func (a *Allocator) clear(ctx context.Context, p *Pool, x netip.Addr, anyDoes bool) error {
	doing := "bind address " + x.String()
	r, err := a.Store.GetRegion(ctx, objectName(p.Domain, regionOf(x).Addr()))
	if errors.Is(err, ErrNotFound) {
		return nil // no region, no block
	}
	if err != nil {
		return unavailable(doing, err)
	}
	name := objectName(p.Domain, blockOf(x, r.Unit).Addr())
	b, err := a.Store.GetBlock(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return unavailable(doing, err)
	case b.NodeUID == a.NodeUID:
		return a.cutOwn(p, x)
	case b.Holes&(1<<placeIn(b.Prefix, x)) != 0:
		return nil
	}
	return askOwner(ctx, a.Store, p, x, b, anyDoes)
}

func placeIn(block netip.Prefix, x netip.Addr) int { return lowByte(x) - lowByte(block.Addr()) }

// cutOwn cuts the address out of a block of ours. A block that is not in
// memory yet will be confirmed after this, and sees the Address object then.
func (a *Allocator) cutOwn(p *Pool, x netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.by[spot{p.Domain, x}]; h != nil {
		return takenBy(p, x, h.owner, a.Node)
	}
	s := a.space(p.Domain)
	if l := s.find(x); l != nil {
		l.cutAt(l.place(x))
		l.resting &^= 1 << l.place(x)
		l.touch(time.Now())
		s.settle(l)
	}
	return nil
}

// asker is what it takes to ask the owner of a block.
type asker interface {
	GetBlock(ctx context.Context, name string) (Block, error)
	UpdateBlock(ctx context.Context, b Block) (Block, error)
}

// askOwner asks a block's owner for the address, and waits for the answer. The
// answer that counts is the hole in the block, or that the block is gone.
func askOwner(ctx context.Context, store asker, p *Pool, x netip.Addr, b Block, anyDoes bool) error {
	asked := false
	pause := 8 * time.Millisecond
	doing := fmt.Sprintf("ask node %s for address %s", b.Node, x)
	for {
		i := requestFor(b, x)
		switch {
		case b.Holes&(1<<placeIn(b.Prefix, x)) != 0:
			return nil
		case asked && i >= 0 && b.Requests[i].Answer != "" || asked && i < 0:
			return refusedBy(p, x, b, i)
		case !asked:
			var err error
			if b, err = putQuestion(ctx, store, b, x, anyDoes); errors.Is(err, ErrNotFound) {
				return nil
			} else if err != nil {
				return unavailable(doing, err)
			}
			asked = true
		}
		select {
		case <-time.After(pause):
			pause = min(pause*3/2, 100*time.Millisecond)
		case <-ctx.Done():
			return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s lies in block %s, leased to node %s, which does not answer", x, p.Name, b.Prefix, b.Node),
				Fix: fmt.Sprintf("it is tried again: bring node %s back, or remove it, or ask for another address", b.Node)}
		}
		switch now, err := store.GetBlock(ctx, b.Name); {
		case errors.Is(err, ErrNotFound), err == nil && now.UID != b.UID:
			return nil // whoever claimed it since has seen our object
		case err == nil:
			b = now
		case ctx.Err() == nil:
			return unavailable(doing, err)
		}
	}
}

// putQuestion puts the question into the block.
func putQuestion(ctx context.Context, store asker, b Block, x netip.Addr, anyDoes bool) (Block, error) {
	for {
		if i := requestFor(b, x); i < 0 || b.Requests[i].Answer != "" {
			fresh := make([]HoleRequest, 0, len(b.Requests)+1)
			for _, r := range b.Requests {
				if r.Address != x && (r.Answer == "" || len(b.Requests) < mostRequests) {
					fresh = append(fresh, r)
				}
			}
			b.Requests = append(fresh, HoleRequest{Address: x, Any: anyDoes})
		}
		got, err := store.UpdateBlock(ctx, b)
		if !errors.Is(err, ErrConflict) {
			return got, err
		}
		if b, err = store.GetBlock(ctx, b.Name); err != nil {
			return b, err
		}
	}
}

// mostRequests is where answered requests are cleared away.
const mostRequests = 8

func requestFor(b Block, x netip.Addr) int {
	for i, r := range b.Requests {
		if r.Address == x {
			return i
		}
	}
	return -1
}

func refusedBy(p *Pool, x netip.Addr, b Block, i int) error {
	why := "it did not say why"
	if i >= 0 {
		why = b.Requests[i].Answer
	}
	return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s lies in block %s, leased to node %s: %s", x, p.Name, b.Prefix, b.Node, why),
		Fix: "ask for another address, or delete the Pod that uses it"}
}

func (a *Allocator) isLocked(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.names[name] != nil
}

// lockName lets one at a time work on an object.
func (a *Allocator) lockName(ctx context.Context, name string) (unlock func(), err error) {
	for {
		a.mu.Lock()
		other := a.names[name]
		if other == nil {
			mine := make(chan struct{})
			a.names[name] = mine
			a.mu.Unlock()
			return func() {
				a.mu.Lock()
				delete(a.names, name)
				a.mu.Unlock()
				close(mine)
			}, nil
		}
		a.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type endingRecord struct {
	UID       string     `json:"u,omitempty"`
	Domain    string     `json:"d"`
	Address   netip.Addr `json:"a"`
	Container string     `json:"c,omitempty"`
	IfName    string     `json:"i,omitempty"`
	Claimed   bool       `json:"l,omitempty"`
	Fresh     bool       `json:"f,omitempty"`
}

func encodeEnding(e ending) []byte {
	value, _ := json.Marshal(endingRecord{e.uid, e.spot.domain, e.spot.addr, e.key.ContainerID, e.key.IfName, e.claimed, e.fresh})
	return value
}

func decodeEnding(value []byte) (*ending, error) {
	var r endingRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("read an address to be deleted: %w", err)
	}
	return &ending{r.UID, spot{r.Domain, r.Address}, r.Claimed, Key{r.Container, r.IfName}, r.Fresh}, nil
}
