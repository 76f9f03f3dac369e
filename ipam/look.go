package ipam

import (
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// exhausted is a look at all blocks and bound addresses of a pool. As an error
// it says that none was left to claim.
type exhausted struct {
	pool   Pool
	node   string // ours
	blocks []Block
	bound  []Address
	holes  map[netip.Addr]struct{} // bound, to look up
	used   map[string]int          // by node
	leased map[string]int
	all    int // in use, also outside the pool's ranges
	// resting are addresses of this node that are not given out before ready.
	resting int
	ready   time.Duration
}

// look reads all blocks and bound addresses of the pool's domain and believes
// them for a while.
func (a *Allocator) look(ctx context.Context, p Pool) (*exhausted, error) {
	scope := Scope{Domain: p.Domain}
	if regionOf(p.Prefix.Addr()).Bits() <= p.Prefix.Bits() {
		scope.Region = RegionValue(p.Prefix.Addr())
	}
	var bound []Address
	var failed error
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		bound, failed = a.Store.ListAddresses(ctx, scope)
	}()
	blocks, err := a.Store.ListBlocks(ctx, scope)
	<-listed
	if err != nil {
		return nil, unavailable("lease addresses of pool "+p.Name, err)
	}
	if err = failed; err != nil {
		return nil, unavailable("lease addresses of pool "+p.Name, err)
	}
	e := &exhausted{pool: p, node: a.Node, holes: map[netip.Addr]struct{}{}, used: map[string]int{}, leased: map[string]int{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.space(p.Domain), time.Now()
	for start := range s.taken {
		if p.Prefix.Contains(start) {
			delete(s.taken, start)
			s.epoch++
		}
	}
	for _, b := range blocks {
		at := regionOf(b.Prefix.Addr()).Addr()
		s.units[at] = unitOf(b.Prefix)
		if s.regions[at].Unit != unitOf(b.Prefix) {
			delete(s.regions, at)
		}
		if b.NodeUID != a.NodeUID {
			s.taken[b.Prefix.Addr()] = now.Add(takenFor)
		} else if s.find(b.Prefix.Addr()) == nil {
			// A create of ours whose answer was lost.
			a.suspect[b.Name] = struct{}{}
			a.nudge()
		}
		used := b.Used
		if l := s.find(b.Prefix.Addr()); l != nil {
			used = l.used
		}
		if l := s.find(b.Prefix.Addr()); l != nil && l.resting&p.mask(l.prefix) != 0 {
			e.rest(l, l.resting&p.mask(l.prefix), now)
		}
		e.all += bits.OnesCount64(used &^ b.Holes)
		if m := p.mask(b.Prefix); m != 0 {
			e.blocks = append(e.blocks, b)
			e.used[b.Node] += bits.OnesCount64(used & m &^ b.Holes)
			e.leased[b.Node]++
		}
	}
	for _, x := range bound {
		e.holes[x.Address] = struct{}{}
		e.all++
		if p.Contains(x.Address) {
			e.bound = append(e.bound, x)
		}
	}
	for _, b := range e.blocks {
		if l := s.find(b.Prefix.Addr()); l != nil && e.leaves(l.holes, l.prefix) {
			l.healAt = time.Time{} // somebody waits for what is bound no more
		}
	}
	return e, nil
}

// others tells whether other nodes have any of the pool, by what they told.
func (e *exhausted) others() bool {
	return slices.ContainsFunc(e.blocks, func(b Block) bool { return b.Node != e.node }) ||
		slices.ContainsFunc(e.bound, func(x Address) bool { return x.Node != e.node && x.Quarantine == nil && x.Reserved == "" })
}

// rest notes that addresses of a lease of ours rest.
func (e *exhausted) rest(l *lease, m uint64, now time.Time) {
	for ; m != 0; m &= m - 1 {
		left := max(l.until(bits.TrailingZeros64(m)).Sub(now), 0)
		if e.resting == 0 || left < e.ready {
			e.ready = left
		}
		e.resting++
	}
}

// leaves tells whether a block has an address of the pool that is not bound
// to somebody. Nothing seen means perhaps.
func (e *exhausted) leaves(m uint64, b netip.Prefix) bool {
	if e == nil || m == 0 {
		return m != 0
	}
	for place := range unitOf(b) {
		if m&(1<<place) == 0 {
			continue
		}
		if _, bound := e.holes[plus(b.Addr(), place)]; !bound {
			return true
		}
	}
	return false
}

// recount brings the numbers of other nodes up to date with blocks that were
// read since.
func (e *exhausted) recount(blocks []Block) *exhausted {
	fresh := *e
	fresh.used = map[string]int{e.node: e.used[e.node]}
	for _, b := range blocks {
		if b.Node != e.node {
			fresh.used[b.Node] += bits.OnesCount64(b.Used & e.pool.mask(b.Prefix) &^ b.Holes)
		}
	}
	return &fresh
}

func (e *exhausted) Error() string { return e.refusal().Error() }

// refusal says how full the pool is and who has it.
func (e *exhausted) refusal() *Refusal {
	used, nodes := len(e.bound), make([]string, 0, len(e.leased))
	for node, n := range e.used {
		used += n
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(x, y string) int { return e.leased[y] - e.leased[x] })
	var who []string
	for i, node := range nodes {
		if i == 5 {
			who = append(who, fmt.Sprintf("%d more nodes", len(nodes)-i))
			break
		}
		who = append(who, fmt.Sprintf("%s holds %s with %d in use", node, plural(e.leased[node], "block"), e.used[node]))
	}
	strangers := 0
	for _, x := range e.bound {
		if x.Quarantine != nil {
			strangers++
		}
	}
	if n := len(e.bound) - strangers; n > 0 {
		who = append(who, plural(n, "address")+" bound one by one")
	}
	if strangers > 0 {
		who = append(who, plural(strangers, "address")+" in quarantine because strangers were seen to use them")
	}
	if e.resting > 0 {
		who = append(who, fmt.Sprintf("%s of this node rest for the cooldown of %s after their last use, the next is ready in %s",
			plural(e.resting, "address"), e.pool.Cooldown, (e.ready+time.Second-1).Truncate(time.Second)))
	}
	return &Refusal{
		Reason:  PoolFull,
		Message: fmt.Sprintf("pool %s is full: %d of %d addresses of %s are in use; %s", e.pool.Name, used, e.pool.Size(), e.pool.Prefix, strings.Join(who, ", ")),
		Fix:     "delete Pods that have addresses of it, or make its ranges larger",
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if strings.HasSuffix(word, "s") {
		word += "e"
	}
	return fmt.Sprintf("%d %ss", n, word)
}
