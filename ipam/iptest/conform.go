package iptest

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Conform is what ipam relies on in a Store. domain must be one that the
// store has nothing of.
func Conform(t *testing.T, s ipam.Store, domain string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := conformance{t, ctx, s, domain}
	t.Run("regions", c.with((conformance).regions))
	t.Run("block is a lock", c.with((conformance).lock))
	t.Run("block changes", c.with((conformance).changes))
	t.Run("block is deleted by UID", c.with((conformance).deletes))
	t.Run("addresses", c.with((conformance).addresses))
	t.Run("addresses change hands", c.with((conformance).hands))
	t.Run("claims", c.with((conformance).claims))
	t.Run("lists see what was written", c.with((conformance).lists))
	t.Run("watch", c.with((conformance).watch))
}

type conformance struct {
	*testing.T
	ctx    context.Context
	s      ipam.Store
	domain string
}

func (c conformance) with(f func(conformance)) func(*testing.T) {
	return func(t *testing.T) { c.T = t; f(c) }
}

func (c conformance) name(addr string) string {
	a := netip.MustParseAddr(addr).StringExpanded()
	b := []byte(c.domain + "." + a)
	for i := len(c.domain) + 1; i < len(b); i++ {
		if b[i] == '.' || b[i] == ':' {
			b[i] = '-'
		}
	}
	return string(b)
}

func (c conformance) block(prefix, node string) ipam.Block {
	p := netip.MustParsePrefix(prefix)
	return ipam.Block{Meta: ipam.Meta{Name: c.name(p.Addr().String())}, Domain: c.domain, Prefix: p, Node: node, NodeUID: c.domain + "-" + node, State: v1alpha1.BlockOwned}
}

func (c conformance) must(b ipam.Block, err error) ipam.Block {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
	return b
}

func (c conformance) is(err, want error) {
	c.Helper()
	if !errors.Is(err, want) {
		c.Fatalf("got %v, want %v", err, want)
	}
}

func (c conformance) regions() {
	p := netip.MustParsePrefix("10.0.0.0/24")
	r := ipam.Region{Meta: ipam.Meta{Name: c.name("10.0.0.0")}, Domain: c.domain, Prefix: p, Unit: 8}
	_, err := c.s.GetRegion(c.ctx, r.Name)
	c.is(err, ipam.ErrNotFound)
	made, err := c.s.CreateRegion(c.ctx, r)
	if err != nil || made.UID == "" || made.Unit != 8 || made.Prefix != p {
		c.Fatalf("created %+v, %v", made, err)
	}
	_, err = c.s.CreateRegion(c.ctx, r)
	c.is(err, ipam.ErrExists)
	all, err := c.s.ListRegions(c.ctx, c.domain)
	if err != nil || len(all) != 1 || all[0].UID != made.UID {
		c.Fatalf("listed %+v, %v", all, err)
	}
}

// Of many that create one block, one has it.
func (c conformance) lock() {
	var wg sync.WaitGroup
	won := make(chan string, 20)
	for i := range 20 {
		b := c.block("10.0.0.0/29", string(rune('a'+i)))
		wg.Go(func() {
			made, err := c.s.CreateBlock(c.ctx, b)
			switch {
			case err == nil:
				won <- made.NodeUID
			case !errors.Is(err, ipam.ErrExists):
				c.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		c.Fatalf("%d have one block", len(won))
	}
	got := c.must(c.s.GetBlock(c.ctx, c.name("10.0.0.0")))
	if uid := <-won; got.NodeUID != uid {
		c.Fatalf("%s was told it has the block, the block says %s", uid, got.NodeUID)
	}
}

func (c conformance) changes() {
	b := c.must(c.s.CreateBlock(c.ctx, c.block("10.0.0.8/29", "n")))
	x := b
	x.Holes, x.Used, x.UsedCount = 1<<7|1, 6, 2
	x.Requests = []ipam.HoleRequest{{Address: netip.MustParseAddr("10.0.0.9")}}
	x = c.must(c.s.UpdateBlock(c.ctx, x))
	if x.Version == b.Version || x.UID != b.UID {
		c.Fatalf("after an update: %+v, before: %+v", x.Meta, b.Meta)
	}
	got := c.must(c.s.GetBlock(c.ctx, b.Name))
	if got.Holes != 1<<7|1 || got.Used != 6 || got.UsedCount != 2 || len(got.Requests) != 1 || got.Prefix != b.Prefix || got.State != b.State {
		c.Fatalf("got %+v", got)
	}
	_, err := c.s.UpdateBlock(c.ctx, b)
	c.is(err, ipam.ErrConflict)
	got.Requests, got.Holes = nil, 0
	got = c.must(c.s.UpdateBlock(c.ctx, got))
	if got.Holes != 0 || len(got.Requests) != 0 {
		c.Fatalf("what was taken off is there: %+v", got)
	}
	got.NodeUID = "another"
	_, err = c.s.UpdateBlock(c.ctx, got)
	c.is(err, ipam.ErrForbidden)
	missing := c.block("10.0.7.0/29", "n")
	missing.UID, missing.Version = got.UID, got.Version
	if _, err = c.s.UpdateBlock(c.ctx, missing); err == nil {
		c.Fatal("a block that does not exist was updated")
	}
}

func (c conformance) deletes() {
	b := c.must(c.s.CreateBlock(c.ctx, c.block("10.0.0.16/29", "n")))
	c.is(c.s.DeleteBlock(c.ctx, b.Name, "another"), ipam.ErrConflict)
	if err := c.s.DeleteBlock(c.ctx, b.Name, b.UID); err != nil {
		c.Fatal(err)
	}
	c.is(c.s.DeleteBlock(c.ctx, b.Name, b.UID), ipam.ErrNotFound)
	_, err := c.s.GetBlock(c.ctx, b.Name)
	c.is(err, ipam.ErrNotFound)
	again := c.must(c.s.CreateBlock(c.ctx, c.block("10.0.0.16/29", "n")))
	if again.UID == b.UID {
		c.Fatal("a block that was made anew has the old UID")
	}
	c.is(c.s.DeleteBlock(c.ctx, b.Name, b.UID), ipam.ErrConflict)
}

func (c conformance) addresses() {
	a := ipam.Address{Meta: ipam.Meta{Name: c.name("fd00::7")}, Domain: c.domain, Address: netip.MustParseAddr("fd00::7"), Pool: "p", Node: "n", NodeUID: c.domain + "-n",
		Owner: ipam.Owner{Key: ipam.Key{ContainerID: "c", IfName: "net1"}, Namespace: "ns", Pod: "pod", UID: "u"}}
	made, err := c.s.CreateAddress(c.ctx, a)
	if err != nil {
		c.Fatal(err)
	}
	_, err = c.s.CreateAddress(c.ctx, a)
	c.is(err, ipam.ErrExists)
	got, err := c.s.GetAddress(c.ctx, a.Name)
	if err != nil || got != made || got.Owner != a.Owner || got.Address != a.Address {
		c.Fatalf("got %+v, %v, made %+v", got, err, made)
	}
	mine, err := c.s.ListAddresses(c.ctx, ipam.Scope{NodeUID: a.NodeUID})
	if err != nil || len(mine) != 1 {
		c.Fatalf("by node: %v, %v", mine, err)
	}
	c.is(c.s.DeleteAddress(c.ctx, a.Name, "another"), ipam.ErrConflict)
	if err := c.s.DeleteAddress(c.ctx, a.Name, made.UID); err != nil {
		c.Fatal(err)
	}
	c.is(c.s.DeleteAddress(c.ctx, a.Name, made.UID), ipam.ErrNotFound)
	_, err = c.s.GetAddress(c.ctx, a.Name)
	c.is(err, ipam.ErrNotFound)
}

// A list that begins after a write was answered sees it. Without it two nodes
// may not see each other.
func (c conformance) lists() {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 8 {
				at := netip.AddrFrom4([4]byte{10, 1, byte(i), byte(k * 8)})
				b := c.block(at.String()+"/29", "lister")
				if _, err := c.s.CreateBlock(c.ctx, b); err != nil {
					c.Error(err)
					return
				}
				seen, err := c.s.ListBlocks(c.ctx, ipam.Scope{Domain: c.domain, Region: ipam.RegionValue(at)})
				if err != nil || len(seen) != k+1 {
					c.Errorf("%d blocks of the region are listed after %d were created, %v", len(seen), k+1, err)
					return
				}
			}
		})
	}
	wg.Wait()
	mine, err := c.s.ListBlocks(c.ctx, ipam.Scope{NodeUID: c.domain + "-lister"})
	if err != nil || len(mine) != 64 {
		c.Errorf("%d blocks of the node, want 64, %v", len(mine), err)
	}
}

// heard is a BlockWatcher that remembers.
type heard struct {
	mu     sync.Mutex
	resets int
	blocks map[string]ipam.Block
	gone   map[string]bool
}

func (h *heard) Reset(all []ipam.Block) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resets++
	h.blocks = map[string]ipam.Block{}
	for _, b := range all {
		h.blocks[b.Name] = b
	}
}

func (h *heard) Changed(b ipam.Block) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.blocks[b.Name] = b
}

func (h *heard) Gone(b ipam.Block) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.blocks, b.Name)
	h.gone[b.UID] = true
}

func (c conformance) watch() {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	before := c.must(c.s.CreateBlock(c.ctx, c.block("10.2.0.0/29", "watcher")))
	h := &heard{blocks: map[string]ipam.Block{}, gone: map[string]bool{}}
	done := make(chan struct{})
	go func() { defer close(done); c.s.WatchBlocks(ctx, c.domain+"-watcher", h) }()
	until := func(what string, ok func() bool) {
		c.Helper()
		for begun := time.Now(); ; time.Sleep(2 * time.Millisecond) {
			h.mu.Lock()
			seen := ok()
			h.mu.Unlock()
			if seen {
				return
			}
			if time.Since(begun) > 20*time.Second {
				c.Fatalf("not seen: %s", what)
			}
		}
	}
	until("a block that was there", func() bool { return h.resets > 0 && h.blocks[before.Name].UID == before.UID })
	c.must(c.s.CreateBlock(c.ctx, c.block("10.2.0.16/29", "stranger")))
	b := c.must(c.s.CreateBlock(c.ctx, c.block("10.2.0.8/29", "watcher")))
	until("a new block", func() bool { return h.blocks[b.Name].UID == b.UID })
	b.Requests = []ipam.HoleRequest{{Address: netip.MustParseAddr("10.2.0.9")}}
	b = c.must(c.s.UpdateBlock(c.ctx, b))
	until("a request", func() bool { return len(h.blocks[b.Name].Requests) == 1 })
	if err := c.s.DeleteBlock(c.ctx, b.Name, b.UID); err != nil {
		c.Fatal(err)
	}
	until("the end of a block", func() bool { return h.gone[b.UID] })
	h.mu.Lock()
	for name, b := range h.blocks {
		if b.NodeUID != c.domain+"-watcher" {
			c.Errorf("heard of %s, which is another node's", name)
		}
	}
	h.mu.Unlock()
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		c.Error("the watch goes on after its context ended")
	}
}
