package ipam

import (
	"context"
	"errors"
	"fmt"
)

// Undo is the part of a Store by which people take bindings back.
type Undo interface {
	GetAddress(ctx context.Context, name string) (Address, error)
	GetBlock(ctx context.Context, name string) (Block, error)
	DropAddress(ctx context.Context, a Address) error
	DropBlock(ctx context.Context, b Block) error
}

// ReleaseAddress deletes a bound address as it was looked at: seen is what the
// caller judged. If it changed since, it is not touched.
func ReleaseAddress(ctx context.Context, store Undo, seen Address) error {
	now, err := store.GetAddress(ctx, seen.Name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return unavailable("release IPAddress "+seen.Name, err)
	}
	if now.UID != seen.UID || now.Owner != seen.Owner || now.Claim != seen.Claim || now.Reserved != seen.Reserved {
		return changedSince("IPAddress", seen.Name, now.heldBy())
	}
	return released("IPAddress", seen.Name, store.DropAddress(ctx, now))
}

// ReleaseBlock deletes a block, likewise.
func ReleaseBlock(ctx context.Context, store Undo, seen Block) error {
	now, err := store.GetBlock(ctx, seen.Name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return unavailable("release IPBlock "+seen.Name, err)
	}
	if now.UID != seen.UID || now.NodeUID != seen.NodeUID {
		return changedSince("IPBlock", seen.Name, "leased to node "+now.Node)
	}
	return released("IPBlock", seen.Name, store.DropBlock(ctx, now))
}

func released(kind, name string, err error) error {
	switch {
	case errors.Is(err, ErrConflict):
		return changedSince(kind, name, "it is being written")
	case err != nil && !errors.Is(err, ErrNotFound):
		return unavailable("release "+kind+" "+name, err)
	}
	return nil
}

func changedSince(kind, name, now string) error {
	return &Refusal{Reason: Taken, Message: fmt.Sprintf("%s %s changed while it was looked at, now %s; it was not released", kind, name, now), Fix: "look again"}
}
