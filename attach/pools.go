package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/near"
)

// Pools finds IPPools.
type Pools interface {
	// Pool finds one, if need be by asking the API server: the error is ErrNotFound only when it answered so.
	Pool(ctx context.Context, name string) (ipam.Pool, error)
	// Names lists what is known, to find near names.
	Names() []string
}

// Addresses gives out addresses (ipam.Allocator).
type Addresses interface {
	// Take gives all or nothing, and the same again for the same key.
	Take(ctx context.Context, owner ipam.Owner, wants []ipam.Want) ([]ipam.Grant, error)
	// TakeMore gives an interface addresses beside those it has; Keep takes back all but some.
	TakeMore(ctx context.Context, owner ipam.Owner, wants []ipam.Want) ([]ipam.Grant, error)
	Keep(ctx context.Context, owner ipam.Owner, addresses []netip.Addr) error
	// Recount has addresses that an interface has counted in another domain.
	Recount(ctx context.Context, owner ipam.Owner, wants []ipam.Want) error
	// Free takes back what an interface has; nothing is fine.
	Free(ctx context.Context, key ipam.Key) error
	// Quarantine keeps an address from everybody for a while; QuarantineIdle does if no interface was given it meanwhile.
	Quarantine(s ipam.Stranger) error
	QuarantineIdle(s ipam.Stranger) (bool, error)
	// Next guesses what Take would give of a pool.
	Next(p ipam.Pool, n int) []netip.Addr
	// Rights are what an interface holds; Restore takes them over, and HoldUnknown what is known only by its interface.
	Rights(key ipam.Key) []byte
	Restore(rights []byte, sure bool) error
	HoldUnknown(owner ipam.Owner, addresses []netip.Prefix) error
	// Held lists who has what.
	Held() []ipam.Holding
	// Orphans are address objects of this node that no interface has; DeleteOrphan deletes one, if it still is one.
	Orphans(ctx context.Context) ([]ipam.Address, error)
	DeleteOrphan(ctx context.Context, orphan ipam.Address) error
	// FreeImported deletes the objects of a sandbox's interface that others made, of all its interfaces without a name.
	FreeImported(containerID, ifName string)
}

// PodNetwork is the network that every Pod is on.
type PodNetwork interface {
	// Pools are the prefixes of this node's Pods, at most one per family. None means that the node has not been given any yet.
	Pools() []ipam.Pool
	// MTU of the Pods' interfaces in bytes.
	MTU() int
	// Prefixes are what Pods reach by the pod network even when another network is their default route.
	Prefixes() []netip.Prefix
}

// wants says which addresses an interface needs of a network.
func (s Selection) wants(ctx context.Context, n Network, pools Pools) ([]ipam.Want, []ipam.Grant, error) {
	var named [][]ipam.Pool
	for _, names := range n.IPAM.PoolNames {
		set, err := poolSet(ctx, n, names, pools)
		if err != nil {
			return nil, nil, err
		}
		named = append(named, set)
	}
	wants, fixed, err := n.IPAM.Wants(named, s.requested())
	if err != nil {
		return nil, nil, err
	}
	for _, ip := range s.IPs {
		for _, w := range wants {
			if w.Static == ip.Addr && ip.Bits >= 0 && ip.Bits != w.Pool.Prefix.Bits() && ip.Bits != ip.Addr.BitLen() {
				return nil, nil, refusef(ReasonBadAddress, fmt.Sprintf("ask for %s/%d, or without a length", ip.Addr, w.Pool.Prefix.Bits()),
					"address %s/%d is asked for, and the subnet of pool %s is %s", ip.Addr, ip.Bits, w.Pool.Name, w.Pool.Prefix)
			}
		}
	}
	return wants, fixed, nil
}

// poolSet finds the pools of a set, each followed by those that it falls back to. Of these, one that is missing or of the other address
// family keeps no Pod from starting: the pool's own status says so.
func poolSet(ctx context.Context, n Network, names []string, pools Pools) ([]ipam.Pool, error) {
	var set []ipam.Pool
	have := func(name string) bool {
		return slices.ContainsFunc(set, func(p ipam.Pool) bool { return p.Name == name })
	}
	for _, name := range names {
		if have(name) {
			continue
		}
		pool, err := pools.Pool(ctx, name)
		if errors.Is(err, ErrNotFound) {
			return nil, unknownPool(n, name, pools.Names())
		}
		if err != nil {
			return nil, err
		}
		set = append(set, pool)
		for _, other := range pool.Fallback {
			if have(other) || slices.Contains(names, other) {
				continue
			}
			if p, err := pools.Pool(ctx, other); err == nil && p.Prefix.Addr().BitLen() == pool.Prefix.Addr().BitLen() {
				set = append(set, p)
			}
		}
	}
	return set, nil
}

func unknownPool(n Network, name string, have []string) error {
	r := refusef(ReasonUnknownPool, "create the IPPool, or correct ipam.pools of the network's configuration",
		"network-attachment-definition %s takes addresses from IPPool %s, which does not exist", n.Ref, name)
	if meant := near.Names(name, have); len(meant) > 0 {
		r.Message += fmt.Sprintf("; near names: %s", joined(meant))
	}
	return r
}
