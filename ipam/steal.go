package ipam

import (
	"context"
	"math/bits"
	"net/netip"
	"slices"
)

// steal gets an address that another node holds and does not use, when no
// block is left to claim. It is bound like a static address, so the owner has
// the last word: it cuts the address out, or gives the whole block back if it
// uses none of it. What is known of use may be old; each answer of an owner
// brings it up to date.
func (a *Allocator) steal(ctx context.Context, owner Owner, p *Pool, e *exhausted, claim ClaimRef) (slot, error) {
	const tries = 16
	a.metrics.misses.WithLabelValues("steal").Inc()
	blocks := slices.Clone(e.blocks)
	for range tries {
		i, x := a.victim(p, e, blocks)
		if i < 0 {
			break
		}
		s, err := a.bindAs(ctx, owner, p, x, claim, true)
		if err == nil {
			return s, nil
		}
		taken := ReasonOf(err) == Taken || ReasonOf(err) == Conflict
		if taken && ctx.Err() != nil {
			break
		}
		if !taken {
			return s, err
		}
		// Not again this address, and by what is written in the block now.
		now, err := a.Store.GetBlock(ctx, blocks[i].Name)
		if err != nil {
			blocks = slices.Delete(blocks, i, i+1)
			continue
		}
		now.Used |= 1 << placeIn(now.Prefix, x)
		blocks[i] = now
	}
	return slot{}, e.recount(blocks).refusal()
}

// victim chooses an address to ask for: of a block that seems unused, else of
// the one that seems to have most to spare. Blocks of one address are not asked
// for: their owners give them back at once.
func (a *Allocator) victim(p *Pool, e *exhausted, blocks []Block) (int, netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	best, most := -1, 0
	var mask uint64
	for i, b := range blocks {
		if b.NodeUID == a.NodeUID {
			continue
		}
		m := p.mask(b.Prefix) &^ (b.Used | b.Holes)
		for place := range unitOf(b.Prefix) {
			if _, bound := e.holes[plus(b.Prefix.Addr(), place)]; bound {
				m &^= 1 << place
			}
		}
		if m == 0 {
			continue
		}
		score := bits.OnesCount64(m)<<8 + a.random.IntN(1<<8)
		if b.Used == 0 {
			score += 1 << 16
		}
		if score > most {
			best, most, mask = i, score, m
		}
	}
	if best < 0 {
		return -1, netip.Addr{}
	}
	skip := a.random.IntN(bits.OnesCount64(mask))
	for ; skip > 0; skip-- {
		mask &= mask - 1
	}
	return best, plus(blocks[best].Prefix.Addr(), bits.TrailingZeros64(mask))
}
