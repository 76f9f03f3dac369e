package iptest

import (
	"context"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

type event struct {
	block ipam.Block
	gone  bool
}

// watch is one WatchBlocks under way.
type watch struct {
	nodeUID string
	mu      sync.Mutex
	queue   []event
	more    chan struct{}
}

// tell puts an event into the watches that it concerns. Called with mu held.
func (s *Store) tell(e event) {
	for _, w := range s.watches {
		if w.nodeUID == e.block.NodeUID {
			w.mu.Lock()
			w.queue = append(w.queue, e)
			w.mu.Unlock()
			select {
			case w.more <- struct{}{}:
			default:
			}
		}
	}
}

// WatchBlocks implements ipam.Store.
func (c Client) WatchBlocks(ctx context.Context, nodeUID string, to ipam.BlockWatcher) {
	w := &watch{nodeUID: nodeUID, more: make(chan struct{}, 1)}
	c.s.mu.Lock()
	var all []ipam.Block
	for _, b := range c.s.blocks {
		if b.NodeUID == nodeUID {
			all = append(all, copied(b))
		}
	}
	c.s.watches = append(c.s.watches, w)
	c.s.mu.Unlock()
	defer func() {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		for i, other := range c.s.watches {
			if other == w {
				c.s.watches = append(c.s.watches[:i], c.s.watches[i+1:]...)
				return
			}
		}
	}()
	if c.s.lag(ctx, nodeUID) {
		to.Reset(all)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.more:
		}
		w.mu.Lock()
		queue := w.queue
		w.queue = nil
		w.mu.Unlock()
		for _, e := range queue {
			if !c.s.lag(ctx, nodeUID) {
				return
			}
			if e.gone {
				to.Gone(e.block)
			} else {
				to.Changed(e.block)
			}
		}
	}
}

// lag waits as long as an event is under way; false if ctx ends.
func (s *Store) lag(ctx context.Context, nodeUID string) bool {
	if s.Lag == nil {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(s.Lag(nodeUID)):
		return true
	case <-ctx.Done():
		return false
	}
}
