package ipam

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// space is what this node has and knows of one domain.
type space struct {
	domain string
	// leases is sorted by first address; open are those of them with a free
	// address, so that a take looks at few however many are held.
	leases, open []*lease
	// units of regions that were seen. A hint: each claim verifies it.
	units   map[netip.Addr]int
	regions map[netip.Addr]Region
	// taken are blocks that others were seen to have, and until when that is
	// believed. A hint: each claim is a create.
	taken map[netip.Addr]time.Time
	// wanted is the last time that somebody asked us for an address.
	wanted time.Time
	// gave is when this node last gave back a block of one address.
	gave time.Time
	// epoch changes when something can be claimed again that could not.
	epoch int
}

func newSpace(domain string) *space {
	return &space{domain: domain, units: map[netip.Addr]int{}, regions: map[netip.Addr]Region{}, taken: map[netip.Addr]time.Time{}}
}

func byStart(l *lease, a netip.Addr) int { return l.start().Compare(a) }

// find is the lease that covers an address, or nil.
func (s *space) find(a netip.Addr) *lease {
	i, found := slices.BinarySearchFunc(s.leases, a, byStart)
	if !found {
		i--
	}
	if i >= 0 && s.leases[i].prefix.Contains(a) {
		return s.leases[i]
	}
	return nil
}

// overlaps tells whether a lease of another size covers addresses of a block.
func (s *space) overlaps(block netip.Prefix) bool {
	i, _ := slices.BinarySearchFunc(s.leases, block.Addr(), byStart)
	for _, at := range []int{i - 1, i} {
		if at >= 0 && at < len(s.leases) && s.leases[at].prefix != block && s.leases[at].prefix.Overlaps(block) {
			return true
		}
	}
	return false
}

func (s *space) add(l *lease) {
	i, found := slices.BinarySearchFunc(s.leases, l.start(), byStart)
	if found {
		s.leases[i] = l
	} else {
		s.leases = slices.Insert(s.leases, i, l)
	}
	s.settle(l)
}

func (s *space) remove(l *lease) {
	l.standing = leaving
	s.epoch++
	s.settle(l)
	if i, found := slices.BinarySearchFunc(s.leases, l.start(), byStart); found && s.leases[i] == l {
		s.leases = slices.Delete(s.leases, i, i+1)
	}
}

// settle puts a lease that changed into open, or takes it out.
func (s *space) settle(l *lease) {
	i, found := slices.BinarySearchFunc(s.open, l.start(), byStart)
	switch free := l.free() != 0; {
	case found && s.open[i] != l:
		s.open = slices.Delete(s.open, i, i+1)
		s.settle(l)
	case free && !found:
		s.open = slices.Insert(s.open, i, l)
	case !free && found:
		s.open = slices.Delete(s.open, i, i+1)
	}
}

// pick finds a free address of the pool in what is held, in the lowest block.
func (s *space) pick(p *Pool, strict bool) (*lease, int) {
	if p.Resting {
		return s.pickRested(p)
	}
	i := s.first(p)
	for ; i < len(s.open) && s.open[i].prefix.Overlaps(p.Prefix); i++ {
		l := s.open[i]
		if m := l.free() & p.mask(l.prefix); m != 0 {
			return l, l.choose(m, strict)
		}
	}
	return nil, 0
}

// pickRested finds a free address of the pool that was never given out here,
// else the one that was given back longest ago.
func (s *space) pickRested(p *Pool) (best *lease, place int) {
	var at time.Time
	for i := s.first(p); i < len(s.open) && s.open[i].prefix.Overlaps(p.Prefix); i++ {
		l := s.open[i]
		m := l.free() & p.mask(l.prefix)
		if m == 0 {
			continue
		}
		if fresh := m &^ l.given(); fresh != 0 {
			return l, bits.TrailingZeros64(fresh)
		}
		if g := l.order[l.longest(m)]; best == nil || g.at.Before(at) {
			best, place, at = l, int(g.place), g.at
		}
	}
	return best, place
}

// first is the place in open of the first lease that may have addresses of the
// pool: the one before may begin below the pool and reach into it.
func (s *space) first(p *Pool) int {
	i, _ := slices.BinarySearchFunc(s.open, p.spans[0].First, byStart)
	if i > 0 && s.open[i-1].prefix.Contains(p.spans[0].First) {
		i--
	}
	return i
}

// count is the number of addresses of the pool that are free here; it stops
// counting when there are enough.
func (s *space) count(p *Pool, enough int) (free int) {
	for _, l := range s.open[s.first(p):] {
		if free >= enough || !l.prefix.Overlaps(p.Prefix) {
			break
		}
		free += bits.OnesCount64(l.free() & p.mask(l.prefix))
	}
	return free
}

// believe tells whether a block is thought to be somebody else's.
func (s *space) believe(start netip.Addr, now time.Time) bool {
	until, ok := s.taken[start]
	if ok && now.After(until) {
		delete(s.taken, start)
		return false
	}
	return ok
}
