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
// uses none of it. What was cut out before and is bound no more needs nobody's
// word. What is known of use may be old; each answer of an owner brings it up
// to date.
func (a *Allocator) steal(ctx context.Context, owner Owner, p *Pool, e *exhausted, claim ClaimRef) (slot, error) {
	a.metrics.misses.WithLabelValues("steal").Inc()
	blocks, tried := slices.Clone(e.blocks), map[netip.Addr]struct{}{}
	for {
		i, x := a.victim(p, e, blocks, tried)
		if i < 0 {
			return slot{}, e.recount(blocks).refusal()
		}
		s, err := a.ask(ctx, owner, p, x, claim)
		if taken := ReasonOf(err) == Taken || ReasonOf(err) == Conflict; !taken {
			return s, err
		}
		if ctx.Err() != nil { // there may be more: it is not full
			return slot{}, unavailable("find an address of pool "+p.Name+" that its node does not use", err)
		}
		// Not again this address, and by what is written in the block now.
		tried[x] = struct{}{}
		now, err := a.Store.GetBlock(ctx, blocks[i].Name)
		if err != nil {
			blocks = slices.Delete(blocks, i, i+1)
			continue
		}
		if j := requestFor(now, x); j >= 0 && now.Requests[j].Answer == "" && now.Holes&(1<<placeIn(now.Prefix, x)) == 0 {
			// Its node is silent: the others first, and not this one again.
			blocks = slices.DeleteFunc(blocks, func(b Block) bool { return b.NodeUID == now.NodeUID })
			continue
		}
		blocks[i] = now
	}
}

// ask binds one of several addresses that would do: a node that is silent is
// not waited for as long as there are others.
func (a *Allocator) ask(ctx context.Context, owner Owner, p *Pool, x netip.Addr, claim ClaimRef) (slot, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Patience/2)
	defer cancel()
	return a.bindAs(ctx, owner, p, x, claim, true)
}

// victim chooses an address to ask for: one that was cut out and is bound no
// more, else one of a block that seems unused, else of the one that seems to
// have most to spare. Blocks of one address are not asked for: their owners
// give them back at once.
func (a *Allocator) victim(p *Pool, e *exhausted, blocks []Block, tried map[netip.Addr]struct{}) (int, netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	best, most, loose := -1, 0, 0
	var from uint64
	for i, b := range blocks {
		m := p.mask(b.Prefix) &^ b.Used
		for left := m; left != 0; left &= left - 1 {
			place := bits.TrailingZeros64(left)
			x := plus(b.Prefix.Addr(), place)
			_, bound := e.holes[x]
			if _, again := tried[x]; bound || again {
				m &^= 1 << place
			}
		}
		if cut := m & b.Holes; cut != 0 {
			// Each of all such addresses is as likely: who looks at the same moment takes another.
			n := bits.OnesCount64(cut)
			if loose += n; a.random.IntN(loose) < n {
				best, from = i, cut
			}
		}
		if m &^= b.Holes; m == 0 || loose > 0 || b.NodeUID == a.NodeUID {
			continue
		}
		score := bits.OnesCount64(m)<<8 + a.random.IntN(1<<8)
		if b.Used == 0 {
			score += 1 << 16
		}
		if score > most {
			best, most, from = i, score, m
		}
	}
	if best < 0 {
		return -1, netip.Addr{}
	}
	for skip := a.random.IntN(bits.OnesCount64(from)); skip > 0; skip-- {
		from &= from - 1
	}
	return best, plus(blocks[best].Prefix.Addr(), bits.TrailingZeros64(from))
}
