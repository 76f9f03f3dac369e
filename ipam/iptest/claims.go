package iptest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// UpdateAddress implements ipam.Store.
func (c Client) UpdateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	var made ipam.Address // read only when the answer arrives
	err := c.do(ctx, "update", "address", a.Name, func() error {
		old, ok := c.s.addresses[a.Name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", a.Name, ipam.ErrNotFound)
		case old.Version != a.Version || old.UID != a.UID:
			return fmt.Errorf("%s: %w", a.Name, ipam.ErrConflict)
		case old.Domain != a.Domain || old.Address != a.Address:
			return fmt.Errorf("%s: domain and address do not change: %w", a.Name, ipam.ErrForbidden)
		}
		made = a
		c.s.stamp(&made.Meta, false)
		made.Owner.Network = "" // not part of the object
		c.s.addresses[made.Name] = made
		return nil
	})
	if err != nil {
		return ipam.Address{}, err
	}
	return made, nil
}

// DropAddress implements ipam.Store.
func (c Client) DropAddress(ctx context.Context, a ipam.Address) error {
	return c.do(ctx, "delete", "address", a.Name, func() error {
		old, ok := c.s.addresses[a.Name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", a.Name, ipam.ErrNotFound)
		case old.Version != a.Version || old.UID != a.UID:
			return fmt.Errorf("%s: %w", a.Name, ipam.ErrConflict)
		}
		delete(c.s.addresses, a.Name)
		return nil
	})
}

// GetClaim implements ipam.Store.
func (c Client) GetClaim(ctx context.Context, namespace, name string) (out ipam.Claim, err error) {
	err = c.do(ctx, "get", "claim", namespace+"/"+name, get(c.s.claims, namespace+"/"+name, &out))
	return out, err
}

// CreateClaim implements ipam.Store.
func (c Client) CreateClaim(ctx context.Context, claim ipam.Claim) (ipam.Claim, error) {
	var made ipam.Claim // read only when the answer arrives
	name := claim.Namespace + "/" + claim.Name
	err := c.do(ctx, "create", "claim", name, func() error {
		if _, ok := c.s.claims[name]; ok {
			return fmt.Errorf("%s: %w", name, ipam.ErrExists)
		}
		made = claim
		made.Has, made.MAC = nil, nil
		c.s.stamp(&made.Meta, true)
		c.s.claims[name] = made
		return nil
	})
	if err != nil {
		return ipam.Claim{}, err
	}
	return made, nil
}

// UpdateClaim implements ipam.Store.
func (c Client) UpdateClaim(ctx context.Context, claim ipam.Claim) (ipam.Claim, error) {
	return c.changeClaim(ctx, claim, func(old *ipam.Claim) { old.Has, old.MAC = slices.Clone(claim.Has), claim.MAC })
}

// OwnClaim implements ipam.Store.
func (c Client) OwnClaim(ctx context.Context, claim ipam.Claim) (ipam.Claim, error) {
	return c.changeClaim(ctx, claim, func(old *ipam.Claim) { old.Holder = claim.Holder })
}

func (c Client) changeClaim(ctx context.Context, claim ipam.Claim, change func(*ipam.Claim)) (ipam.Claim, error) {
	var made ipam.Claim // read only when the answer arrives
	name := claim.Namespace + "/" + claim.Name
	err := c.do(ctx, "update", "claim", name, func() error {
		old, ok := c.s.claims[name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", name, ipam.ErrNotFound)
		case old.Version != claim.Version || old.UID != claim.UID:
			return fmt.Errorf("%s: %w", name, ipam.ErrConflict)
		}
		made = old
		change(&made)
		c.s.stamp(&made.Meta, false)
		c.s.claims[name] = made
		return nil
	})
	if err != nil {
		return ipam.Claim{}, err
	}
	return made, nil
}

// Claims is what is there, for an oracle, in the order of their names.
func (s *Store) Claims() (out []ipam.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.claims)) {
		out = append(out, s.claims[name])
	}
	return out
}

// EndClaim deletes a claim, as a user or the API server's collector does.
func (s *Store) EndClaim(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claims, namespace+"/"+name)
}
