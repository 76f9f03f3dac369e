package ipam

import (
	"net/netip"
	"slices"
	"time"
)

// candidates chooses where to claim, up to n blocks: the lowest of the pool
// that nobody is known to have. In a large pool, and after a look at all
// blocks, they are some of the lowest few, so that nodes that look at the same
// time choose differently.
//
// What it looks at does not grow with the pool, nor with what is leased: it
// goes by regions of which nothing is known, and begins where the last search
// ended as long as nothing below can have become free.
func (a *Allocator) candidates(p *Pool, seen *exhausted, n int) []netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := n
	if seen != nil || p.Size() > strictSize && !p.Lowest {
		most = max(n, min(2*a.nodes, 64))
	}
	s, now := a.space(p.Domain), time.Now()
	state := a.state(*p)
	found := a.search(p, s, state.begin(p, s, now), seen, most, now)
	if p.Resting && len(found) < most && state.cursor.IsValid() {
		found = append(found, a.search(p, s, p.spans[0].First, seen, most-len(found), now)...)
	}
	if len(found) == 0 {
		return nil
	}
	if !p.Resting && seen == nil {
		state.low, state.lowOf, state.epoch, state.lowUntil = found[0], p.spans, s.epoch, now.Add(takenFor)
	}
	for i := range min(n, len(found)) { // the first few of a shuffle
		j := i
		if most > n {
			j += a.random.IntN(len(found) - i)
		}
		found[i], found[j] = found[j], found[i]
	}
	found = found[:min(n, len(found))]
	if p.Resting {
		state.cursor = slices.MaxFunc(found, netip.Addr.Compare)
	}
	return found
}

// begin is where a search of the pool begins.
func (s *poolState) begin(p *Pool, sp *space, now time.Time) netip.Addr {
	switch {
	case p.Resting && s.cursor.IsValid() && p.Prefix.Contains(s.cursor):
		return s.cursor.Next()
	case !p.Resting && s.low.IsValid() && s.epoch == sp.epoch && slices.Equal(s.lowOf, p.spans) && now.Before(s.lowUntil):
		return s.low
	}
	return p.spans[0].First
}

// search finds blocks from an address on that nobody is known to have.
func (a *Allocator) search(p *Pool, s *space, from netip.Addr, seen *exhausted, most int, now time.Time) (found []netip.Addr) {
	for _, r := range p.from(from) {
		x := r.First
		if x.Less(from) {
			x = from
		}
		for x.IsValid() && !r.Last.Less(x) && len(found) < most {
			unit := s.units[regionOf(x).Addr()]
			if unit == 0 {
				// Nothing is known of the region: all of it is one candidate.
				found = append(found, x)
				x = after(regionOf(x))
				continue
			}
			b := blockOf(x, unit)
			if s.find(b.Addr()) == nil && !s.believe(b.Addr(), now) && seen.leaves(p.mask(b), b) {
				found = append(found, x)
			}
			x = after(b)
		}
	}
	return found
}
