package ipam

import (
	"context"
	"errors"
	"fmt"
)

// Orphans are Address objects of this node that no interface here holds: their
// create was answered to a process that is no more, or the log was lost. The
// caller deletes each with DeleteOrphan (one of a claim stays, without an
// owner) after it has made sure that the sandbox of Owner.ContainerID is gone.
// One with an Origin was imported: there never was a record of its sandbox
// here, so only its Pod tells.
func (a *Allocator) Orphans(ctx context.Context) ([]Address, error) {
	mine, err := a.Store.ListAddresses(ctx, Scope{NodeUID: a.NodeUID})
	if err != nil {
		return nil, fmt.Errorf("list this node's addresses: %w", err)
	}
	a.rememberImported(mine)
	var out []Address
	for _, x := range mine {
		if a.orphan(x) {
			out = append(out, x)
		}
	}
	return out, nil
}

func (a *Allocator) orphan(x Address) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, locked := a.names[x.Name]
	return !locked && a.busy[x.Owner.Key] == nil && a.ending[x.Name] == nil && a.by[spot{x.Domain, x.Address}] == nil
}

// DeleteOrphan deletes an Address object that Orphans listed, if it is still
// one.
func (a *Allocator) DeleteOrphan(ctx context.Context, x Address) error {
	unlock, err := a.lockName(ctx, x.Name)
	if err != nil {
		return err
	}
	defer unlock()
	a.mu.Lock()
	used := a.busy[x.Owner.Key] != nil || a.by[spot{x.Domain, x.Address}] != nil
	a.mu.Unlock()
	if used {
		return nil
	}
	if x.Claim != (ClaimRef{}) {
		return a.relinquish(ctx, x.Name, ending{spot: spot{x.Domain, x.Address}, claimed: true, fresh: true, key: x.Owner.Key})
	}
	err = a.Store.DeleteAddress(ctx, x.Name, x.UID)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("delete address %s: %w", x.Name, err)
	}
	return nil
}
