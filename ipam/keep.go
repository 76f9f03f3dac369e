package ipam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Book is the part of a Store by which addresses are bound from outside a
// node's agent: imported ones, and those that people reserve.
type Book interface {
	GetRegion(ctx context.Context, name string) (Region, error)
	GetBlock(ctx context.Context, name string) (Block, error)
	UpdateBlock(ctx context.Context, b Block) (Block, error)
	GetAddress(ctx context.Context, name string) (Address, error)
	CreateAddress(ctx context.Context, a Address) (Address, error)
	UpdateAddress(ctx context.Context, a Address) (Address, error)
	DropAddress(ctx context.Context, a Address) error
}

// Kept is what Keep did.
type Kept string

// What Keep did.
const (
	KeptNew     Kept = "created"
	KeptAlready Kept = "present"
	KeptChanged Kept = "changed"
)

// Keep binds an address by an object of its own for somebody who is no agent:
// want says for whom, or why it is reserved. It may be repeated; what was bound
// by Keep before (it has an Origin, or the same reason) is brought up to date.
//
// It is safe for the same reason as bind: the object first, then the block, and
// if there is one its owner must cut the address out. If the owner says that
// it is in use the object is taken back. If the owner does not answer it
// stays, since an agent that comes back sees it; the Refusal has the reason
// Unavailable, and Keep is to be called again.
func Keep(ctx context.Context, book Book, want Address) (Address, Kept, error) {
	want.Name = objectName(want.Domain, want.Address)
	got, kept, err := keepObject(ctx, book, want)
	if err != nil {
		return got, "", err
	}
	err = clearFor(ctx, book, want)
	if ReasonOf(err) == Taken && kept == KeptNew {
		if undo := book.DropAddress(ctx, got); undo != nil && !errors.Is(undo, ErrNotFound) && !errors.Is(undo, ErrConflict) {
			return got, "", fmt.Errorf("%w; and IPAddress %s could not be deleted again: %w", err, got.Name, undo)
		}
	}
	return got, kept, err
}

// keepObject makes the object or brings it up to date.
func keepObject(ctx context.Context, book Book, want Address) (Address, Kept, error) {
	doing := "bind address " + want.Address.String()
	for range 8 {
		got, err := book.CreateAddress(ctx, want)
		if err == nil {
			return got, KeptNew, nil
		}
		if !errors.Is(err, ErrExists) {
			return got, "", unavailable(doing, err)
		}
		got, err = book.GetAddress(ctx, want.Name)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return got, "", unavailable(doing, err)
		case got.Owner == want.Owner && got.NodeUID == want.NodeUID && got.Reserved == want.Reserved && got.Claim == want.Claim:
			return got, KeptAlready, nil
		case got.Origin == "" || want.Origin == "":
			return got, "", &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of domain %s is bound by IPAddress %s, %s", want.Address, want.Domain, got.Name, got.heldBy()),
				Fix: "choose another address, or release that one: tsunagu address release " + got.Name}
		}
		want.Meta = got.Meta
		got, err = book.UpdateAddress(ctx, want)
		want.Meta = Meta{Name: want.Name}
		switch {
		case err == nil:
			return got, KeptChanged, nil
		case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound):
			return got, "", unavailable(doing, err)
		}
	}
	return want, "", &Refusal{Reason: Unavailable, Message: doing + ": others change it all the time", Fix: "try it again"}
}

// heldBy says for whom an address is bound.
func (a Address) heldBy() string {
	switch {
	case a.Owner.Pod != "":
		return "for interface " + a.Owner.IfName + " of Pod " + a.Owner.Namespace + "/" + a.Owner.Pod + " on node " + a.Node
	case a.Claim.Name != "":
		return "for IPClaim " + a.Claim.Namespace + "/" + a.Claim.Name
	case a.Reserved != "":
		return "reserved: " + a.Reserved
	case a.Quarantine != nil:
		return "kept away because " + a.Quarantine.MAC + " uses it"
	}
	return "for nobody"
}

// clearFor makes sure that no block gives the address out.
func clearFor(ctx context.Context, book Book, want Address) error {
	x, doing := want.Address, "bind address "+want.Address.String()
	region, err := book.GetRegion(ctx, objectName(want.Domain, regionOf(x).Addr()))
	if errors.Is(err, ErrNotFound) {
		return nil // no region, no block
	}
	if err != nil {
		return unavailable(doing, err)
	}
	b, err := book.GetBlock(ctx, objectName(want.Domain, blockOf(x, region.Unit).Addr()))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return unavailable(doing, err)
	}
	if b.Holes&(1<<placeIn(b.Prefix, x)) != 0 {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	pool := Pool{Name: want.Pool, Domain: want.Domain}
	if pool.Name == "" {
		pool.Name = want.Domain
	}
	err = askOwner(short, book, &pool, x, b, false)
	if short.Err() != nil && err != nil {
		return &Refusal{Reason: Unavailable, Message: fmt.Sprintf("address %s lies in block %s, leased to node %s, which does not answer", x, b.Prefix, b.Node),
			Fix: "see that its agent runs, then do it again: until it answers it may give the address to a Pod"}
	}
	return err
}

// answerTime is how long the owner of a block may take to answer.
const answerTime = 5 * time.Second

// IsOwn tells whether a Refusal of Keep says that the interface itself has the
// address from a block of tsunagu's.
func IsOwn(err error, owner Owner) bool {
	return err != nil && owner.Pod != "" && ReasonOf(err) == Taken && strings.Contains(err.Error(), owner.uses())
}
