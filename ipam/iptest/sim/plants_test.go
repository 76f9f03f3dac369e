package sim_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/sim"
)

// Each of these is a bug between an agent and what it rests on, so that one
// step of the protocol is without effect.

// blind does not look for static addresses after it leased a block.
type blind struct{ ipam.Store }

func (b blind) ListAddresses(ctx context.Context, s ipam.Scope) ([]ipam.Address, error) {
	if s.NodeUID == "" {
		return nil, nil
	}
	return b.Store.ListAddresses(ctx, s)
}

// rash does not look for the block of a static address: it binds and goes.
type rash struct {
	ipam.Store
	at sim.Seat
}

func (r rash) GetBlock(ctx context.Context, name string) (ipam.Block, error) {
	b, err := r.Store.GetBlock(ctx, name)
	if err == nil && b.NodeUID != r.at.UID {
		return ipam.Block{}, ipam.ErrNotFound
	}
	return b, err
}

// greedy takes "exists already" for success: the name is no lock.
type greedy struct{ ipam.Store }

func (g greedy) CreateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	made, err := g.Store.CreateBlock(ctx, b)
	if errors.Is(err, ipam.ErrExists) {
		made, err = g.Store.GetBlock(ctx, b.Name)
	}
	return made, err
}

// namesake trusts the node's name instead of its UID.
type namesake struct {
	ipam.Store
	at sim.Seat
}

func (n namesake) ListBlocks(ctx context.Context, s ipam.Scope) ([]ipam.Block, error) {
	if s.NodeUID == "" {
		return n.Store.ListBlocks(ctx, s)
	}
	all, err := n.Store.ListBlocks(ctx, ipam.Scope{})
	var mine []ipam.Block
	for _, b := range all {
		if b.Node == n.at.Node {
			b.NodeUID = n.at.UID
			mine = append(mine, b)
		}
	}
	return mine, err
}

// settled believes that a region stays as it was first seen.
type settled struct {
	ipam.Store
	seen *sync.Map
}

func (s settled) GetRegion(ctx context.Context, name string) (ipam.Region, error) {
	if r, ok := s.seen.Load(name); ok {
		return r.(ipam.Region), nil
	}
	r, err := s.Store.GetRegion(ctx, name)
	if err == nil {
		s.seen.Store(name, r)
	}
	return r, err
}

// cached reads from a copy that is up to three seconds old, as one who lists
// with resourceVersion 0.
type cached struct {
	ipam.Store
	at   sim.Seat
	mu   *sync.Mutex
	seen *snapshot
}

type snapshot struct {
	when      time.Time
	blocks    []ipam.Block
	addresses []ipam.Address
}

func (c cached) copy() snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.seen.when) > 3*time.Second {
		c.seen.when = time.Now()
		_, c.seen.blocks, c.seen.addresses = c.at.World.Store.Objects()
	}
	return *c.seen
}

func (c cached) ListAddresses(_ context.Context, s ipam.Scope) (out []ipam.Address, _ error) {
	for _, x := range c.copy().addresses {
		if (s.Domain == "" || s.Domain == x.Domain) && (s.NodeUID == "" || s.NodeUID == x.NodeUID) && (s.Region == "" || s.Region == ipam.RegionValue(x.Address)) {
			out = append(out, x)
		}
	}
	return out, nil
}

// oldBlocks reads blocks, one by one, from that copy.
type oldBlocks struct{ cached }

func (o oldBlocks) ListAddresses(ctx context.Context, s ipam.Scope) ([]ipam.Address, error) {
	return o.Store.ListAddresses(ctx, s)
}

func (o oldBlocks) GetBlock(_ context.Context, name string) (ipam.Block, error) {
	for _, b := range o.copy().blocks {
		if b.Name == name {
			return b, nil
		}
	}
	return ipam.Block{}, ipam.ErrNotFound
}

// boastful tells of success although the write was refused.
type boastful struct{ ipam.Store }

func (b boastful) CreateBlock(ctx context.Context, x ipam.Block) (ipam.Block, error) {
	made, err := b.Store.CreateBlock(ctx, x)
	if errors.Is(err, ipam.ErrForbidden) {
		x.UID, x.Version = "made-up-"+x.Name, "1"
		return x, nil
	}
	return made, err
}

func (b boastful) CreateAddress(ctx context.Context, x ipam.Address) (ipam.Address, error) {
	made, err := b.Store.CreateAddress(ctx, x)
	if errors.Is(err, ipam.ErrForbidden) {
		x.UID, x.Version = "made-up-"+x.Name, "1"
		return x, nil
	}
	return made, err
}

// halfway protects one family only.
type halfway struct{ ipam.Store }

func (h halfway) CreateBlock(ctx context.Context, x ipam.Block) (ipam.Block, error) {
	if x.Prefix.Addr().Is6() {
		x.UID, x.Version = "made-up-"+x.Name, "1"
		return x, nil
	}
	return h.Store.CreateBlock(ctx, x)
}

// generous cuts out whatever it is asked for, without a look at its own log.
type generous struct{ ipam.Store }

func (g generous) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	for i, r := range b.Requests {
		if strings.HasPrefix(r.Answer, "in use") {
			b.Requests[i].Answer = "cut"
			b.Holes |= bit(b, r)
		}
	}
	return g.Store.UpdateBlock(ctx, b)
}

// mute gives out again what was cut out and is bound no more, and does not tell:
// the block still shows the hole, so others bind the address unasked.
type mute struct{ ipam.Store }

func (m mute) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	old, err := m.Store.GetBlock(ctx, b.Name)
	if err != nil || old.Holes&^b.Holes == 0 {
		return m.Store.UpdateBlock(ctx, b)
	}
	told := b.Holes
	b.Holes |= old.Holes
	b, err = m.Store.UpdateBlock(ctx, b)
	b.Holes = told
	return b, err
}

func bit(b ipam.Block, r ipam.HoleRequest) uint64 {
	m := uint64(1)
	for x := b.Prefix.Addr(); x != r.Address; x = x.Next() {
		m <<= 1
	}
	return m
}

// thief answers its own request.
type thief struct {
	ipam.Store
	at sim.Seat
}

func (h thief) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	for _, r := range b.Requests {
		if r.Answer == "" && b.NodeUID != h.at.UID {
			b.Holes |= bit(b, r)
		}
	}
	return h.Store.UpdateBlock(ctx, b)
}

// careless deletes a block by its name, whatever its UID, until it is told that
// it is gone.
type careless struct{ ipam.Store }

func (c careless) DeleteBlock(ctx context.Context, name, uid string) error {
	err := c.Store.DeleteBlock(ctx, name, uid)
	if err != nil && !errors.Is(err, ipam.ErrNotFound) {
		go func() {
			time.Sleep(time.Second)
			if b, err := c.Store.GetBlock(context.Background(), name); err == nil {
				_ = c.Store.DeleteBlock(context.Background(), name, b.UID)
			}
		}()
	}
	return err
}

// credulous takes what the watch says for the truth.
type credulous struct {
	ipam.Store
	at   sim.Seat
	mu   *sync.Mutex
	seen map[string]ipam.Block
}

func (c credulous) GetBlock(ctx context.Context, name string) (ipam.Block, error) {
	c.mu.Lock()
	b, ok := c.seen[name]
	c.mu.Unlock()
	if ok {
		return b, nil
	}
	return c.Store.GetBlock(ctx, name)
}

func (c credulous) WatchBlocks(ctx context.Context, uid string, to ipam.BlockWatcher) {
	c.Store.WatchBlocks(ctx, uid, believer{c, to})
}

type believer struct {
	c  credulous
	to ipam.BlockWatcher
}

func (b believer) Reset(all []ipam.Block) {
	b.c.mu.Lock()
	clear(b.c.seen)
	for _, x := range all {
		b.c.seen[x.Name] = x
	}
	b.c.mu.Unlock()
	b.to.Reset(all)
}

func (b believer) Changed(x ipam.Block) {
	b.c.mu.Lock()
	b.c.seen[x.Name] = x
	b.c.mu.Unlock()
	b.to.Changed(x)
}

func (b believer) Gone(x ipam.Block) {
	b.c.mu.Lock()
	maps.DeleteFunc(b.c.seen, func(name string, _ ipam.Block) bool { return name == x.Name })
	b.c.mu.Unlock()
	b.to.Gone(x)
}

// forgetful loses records of a kind.
type forgetful struct {
	ipam.Log
	kind string
}

func (f forgetful) Put(key string, value []byte) error {
	if strings.HasPrefix(key, f.kind) {
		return nil
	}
	return f.Log.Put(key, value)
}

// leaky forgets to delete the objects of bound addresses.
type leaky struct{ ipam.Store }

func (l leaky) DeleteAddress(context.Context, string, string) error { return nil }

// hoarder never gives a block back.
type hoarder struct{ ipam.Store }

func (h hoarder) DeleteBlock(context.Context, string, string) error { return nil }
