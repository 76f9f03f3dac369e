package iptest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Call is one request to a Store.
type Call struct {
	Verb, Kind, Name string
	// Node is who asks, if the client is one of Store.As.
	Node string
}

// Write tells whether the call changes something.
func (c Call) Write() bool { return c.Verb == "create" || c.Verb == "update" || c.Verb == "delete" }

func (c Call) String() string { return strings.Join([]string{c.Node, c.Verb, c.Kind, c.Name}, " ") }

// Store is ipam's Store in memory: linearizable, with versions and UIDs.
type Store struct {
	mu        sync.Mutex
	count     int
	regions   map[string]ipam.Region
	blocks    map[string]ipam.Block
	addresses map[string]ipam.Address
	claims    map[string]ipam.Claim
	events    []event
	watches   map[chan struct{}]struct{}
	delivered int

	gate Gate

	// Lag, if set, is how long the next event of a node's watch is under way,
	// Twist what happens to it. Set them before the first watch.
	Lag   func(nodeUID string) time.Duration
	Twist func(nodeUID string) Twist
	calls map[string]int // by "verb kind"
}

// A Gate is handed every call and the deed itself, which it runs never, once or
// later; the caller gets what Gate returns.
type Gate func(ctx context.Context, c Call, deed func() error) error

// Through makes all calls go through a gate; nil opens it.
func (s *Store) Through(g Gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = g
}

// Count is the number of calls that were done, such as ("create", "block").
func (s *Store) Count(verb, kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[verb+" "+kind]
}

// NewStore is an empty Store.
func NewStore() *Store {
	return &Store{
		regions: map[string]ipam.Region{}, blocks: map[string]ipam.Block{}, addresses: map[string]ipam.Address{}, claims: map[string]ipam.Claim{},
		watches: map[chan struct{}]struct{}{}, calls: map[string]int{},
	}
}

// As is the Store as one node's client.
func (s *Store) As(node string) Client { return Client{s, node} }

// Client is a node's way to a Store.
type Client struct {
	s    *Store
	node string
}

func (c Client) do(ctx context.Context, verb, kind, name string, deed func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call := Call{verb, kind, name, c.node}
	locked := func() error {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.s.calls[verb+" "+kind]++
		return deed()
	}
	c.s.mu.Lock()
	gate := c.s.gate
	c.s.mu.Unlock()
	if gate != nil {
		return gate(ctx, call, locked)
	}
	return locked()
}

// stamp gives an object a new version, and a UID if it has none.
func (s *Store) stamp(m *ipam.Meta, fresh bool) {
	s.count++
	m.Version = fmt.Sprint(s.count)
	if fresh {
		m.UID = fmt.Sprintf("uid-%d", s.count)
	}
}

func get[V any](all map[string]V, name string, to *V) func() error {
	return func() error {
		v, ok := all[name]
		if !ok {
			return fmt.Errorf("%s: %w", name, ipam.ErrNotFound)
		}
		*to = v
		return nil
	}
}

// GetRegion implements ipam.Store.
func (c Client) GetRegion(ctx context.Context, name string) (r ipam.Region, err error) {
	err = c.do(ctx, "get", "region", name, get(c.s.regions, name, &r))
	return r, err
}

// ListRegions implements ipam.Store.
func (c Client) ListRegions(ctx context.Context, domain string) (out []ipam.Region, err error) {
	err = c.do(ctx, "list", "region", domain, func() error {
		for _, r := range c.s.regions {
			if r.Domain == domain {
				out = append(out, r)
			}
		}
		return nil
	})
	return out, err
}

// CreateRegion implements ipam.Store.
func (c Client) CreateRegion(ctx context.Context, r ipam.Region) (ipam.Region, error) {
	var made ipam.Region // read only when the answer arrives
	err := c.do(ctx, "create", "region", r.Name, func() error {
		if _, ok := c.s.regions[r.Name]; ok {
			return fmt.Errorf("%s: %w", r.Name, ipam.ErrExists)
		}
		made = r
		c.s.stamp(&made.Meta, true)
		c.s.regions[made.Name] = made
		return nil
	})
	if err != nil {
		return ipam.Region{}, err
	}
	return made, nil
}

// GetBlock implements ipam.Store.
func (c Client) GetBlock(ctx context.Context, name string) (b ipam.Block, err error) {
	err = c.do(ctx, "get", "block", name, func() error {
		err := get(c.s.blocks, name, &b)()
		b = copied(b)
		return err
	})
	return b, err
}

// CreateBlock implements ipam.Store.
func (c Client) CreateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	b = copied(b)
	var made ipam.Block // read only when the answer arrives
	err := c.do(ctx, "create", "block", b.Name, func() error {
		if _, ok := c.s.blocks[b.Name]; ok {
			return fmt.Errorf("%s: %w", b.Name, ipam.ErrExists)
		}
		made = b
		c.s.stamp(&made.Meta, true)
		c.s.blocks[made.Name] = copied(made)
		c.s.tell(event{block: copied(made)})
		return nil
	})
	if err != nil {
		return ipam.Block{}, err
	}
	return made, nil
}

// UpdateBlock implements ipam.Store.
func (c Client) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	b = copied(b)
	var made ipam.Block // read only when the answer arrives
	err := c.do(ctx, "update", "block", b.Name, func() error {
		old, ok := c.s.blocks[b.Name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", b.Name, ipam.ErrNotFound)
		case old.Version != b.Version || old.UID != b.UID:
			return fmt.Errorf("%s: %w", b.Name, ipam.ErrConflict)
		case old.Domain != b.Domain || old.Prefix != b.Prefix || old.NodeUID != b.NodeUID:
			return fmt.Errorf("%s: domain, prefix and owner do not change: %w", b.Name, ipam.ErrForbidden)
		}
		made = b
		if reflect.DeepEqual(copied(made), copied(old)) {
			return nil // as with the API server: no new version, and no event
		}
		c.s.stamp(&made.Meta, false)
		c.s.blocks[made.Name] = copied(made)
		c.s.tell(event{block: copied(made)})
		return nil
	})
	if err != nil {
		return ipam.Block{}, err
	}
	return made, nil
}

// DeleteBlock implements ipam.Store.
func (c Client) DeleteBlock(ctx context.Context, name, uid string) error {
	return c.do(ctx, "delete", "block", name, func() error {
		old, ok := c.s.blocks[name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", name, ipam.ErrNotFound)
		case old.UID != uid:
			return fmt.Errorf("%s: %w", name, ipam.ErrConflict)
		}
		delete(c.s.blocks, name)
		c.s.tell(event{block: copied(old), gone: true})
		return nil
	})
}

// ListBlocks implements ipam.Store.
func (c Client) ListBlocks(ctx context.Context, scope ipam.Scope) (out []ipam.Block, err error) {
	err = c.do(ctx, "list", "block", scope.Domain, func() error {
		for _, b := range c.s.blocks {
			if in(scope, b.Domain, ipam.RegionValue(b.Prefix.Addr()), b.NodeUID) {
				out = append(out, copied(b))
			}
		}
		slices.SortFunc(out, func(x, y ipam.Block) int { return strings.Compare(x.Name, y.Name) })
		return nil
	})
	return out, err
}

// GetAddress implements ipam.Store.
func (c Client) GetAddress(ctx context.Context, name string) (a ipam.Address, err error) {
	err = c.do(ctx, "get", "address", name, get(c.s.addresses, name, &a))
	return a, err
}

// CreateAddress implements ipam.Store.
func (c Client) CreateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	var made ipam.Address // read only when the answer arrives
	err := c.do(ctx, "create", "address", a.Name, func() error {
		if _, ok := c.s.addresses[a.Name]; ok {
			return fmt.Errorf("%s: %w", a.Name, ipam.ErrExists)
		}
		made = a
		c.s.stamp(&made.Meta, true)
		made.Owner.Network = "" // not part of the object
		c.s.addresses[made.Name] = made
		return nil
	})
	if err != nil {
		return ipam.Address{}, err
	}
	return made, nil
}

// DeleteAddress implements ipam.Store.
func (c Client) DeleteAddress(ctx context.Context, name, uid string) error {
	return c.do(ctx, "delete", "address", name, func() error {
		old, ok := c.s.addresses[name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", name, ipam.ErrNotFound)
		case old.UID != uid:
			return fmt.Errorf("%s: %w", name, ipam.ErrConflict)
		}
		delete(c.s.addresses, name)
		return nil
	})
}

// ListAddresses implements ipam.Store.
func (c Client) ListAddresses(ctx context.Context, scope ipam.Scope) (out []ipam.Address, err error) {
	err = c.do(ctx, "list", "address", scope.Domain, func() error {
		for _, a := range c.s.addresses {
			if in(scope, a.Domain, ipam.RegionValue(a.Address), a.NodeUID) {
				out = append(out, a)
			}
		}
		slices.SortFunc(out, func(x, y ipam.Address) int { return strings.Compare(x.Name, y.Name) })
		return nil
	})
	return out, err
}

func in(s ipam.Scope, domain, region, uid string) bool {
	return (s.Domain == "" || s.Domain == domain) && (s.Region == "" || s.Region == region) && (s.NodeUID == "" || s.NodeUID == uid)
}

func copied(b ipam.Block) ipam.Block {
	b.Requests = append([]ipam.HoleRequest(nil), b.Requests...)
	return b
}

// Wipe deletes all objects, as an uninstall that takes the definitions along.
func (s *Store) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.blocks)) {
		s.tell(event{block: copied(s.blocks[name]), gone: true})
	}
	clear(s.regions)
	clear(s.blocks)
	clear(s.addresses)
	clear(s.claims)
}

// Objects is what is there, for an oracle.
func (s *Store) Objects() (regions []ipam.Region, blocks []ipam.Block, addresses []ipam.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.blocks)) {
		blocks = append(blocks, copied(s.blocks[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.regions)) {
		regions = append(regions, s.regions[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.addresses)) {
		addresses = append(addresses, s.addresses[name])
	}
	return regions, blocks, addresses
}

// Drain marks a region, or takes the mark off, whatever it is now.
func (s *Store) Drain(name string, draining bool) {
	s.mu.Lock()
	r := s.regions[name]
	s.mu.Unlock()
	s.Mark(r, draining)
}

// Mark marks a region as draining, or takes the mark off, if it is still as it
// was read, as the controller does.
func (s *Store) Mark(r ipam.Region, draining bool) (ipam.Region, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.regions[r.Name]; !ok || now.Meta != r.Meta {
		return r, false
	}
	r.Draining = draining
	s.stamp(&r.Meta, false)
	s.regions[r.Name] = r
	return r, true
}

// Drop deletes a region, whatever it is now.
func (s *Store) Drop(name string) {
	s.mu.Lock()
	r := s.regions[name]
	s.mu.Unlock()
	s.Retire(r)
}

// Retire deletes a region if it is still as it was read, as the controller does
// when a region that is draining has no blocks.
func (s *Store) Retire(r ipam.Region) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.regions[r.Name]; now.UID == r.UID && now.Version == r.Version {
		delete(s.regions, r.Name)
	}
}

// Release deletes a block or address of a lost node if it is still as it was
// read, as the controller does.
func (s *Store) Release(m ipam.Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.blocks[m.Name]; ok && b.Meta == m {
		delete(s.blocks, m.Name)
		s.tell(event{block: copied(b), gone: true})
	}
	if x, ok := s.addresses[m.Name]; ok && x.Meta == m {
		delete(s.addresses, m.Name)
	}
}

// Touch changes nothing of a block but its version, as one who writes something
// that we do not know.
func (s *Store) Touch(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.blocks[name]; ok {
		s.stamp(&b.Meta, false)
		s.blocks[name] = b
		s.tell(event{block: copied(b)})
	}
}
