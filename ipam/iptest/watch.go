package iptest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// event is a change of a block, in the order in which it was written.
type event struct {
	block ipam.Block
	gone  bool
}

// Twist is what happens to a watch before its next event.
type Twist uint8

const (
	// Straight: the event comes.
	Straight Twist = iota
	// Twice: the event comes twice.
	Twice
	// Break: the watch is lost, and begins again with what there is.
	Break
	// Back: the watch is lost, and begins again with what there was some
	// writes ago, as with an API server that lags behind.
	Back
)

// tell puts an event into all watches. Called with mu held.
func (s *Store) tell(e event) {
	s.events = append(s.events, e)
	for more := range s.watches {
		select {
		case more <- struct{}{}:
		default:
		}
	}
}

// Events is the number of events that watches have delivered.
func (s *Store) Events() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivered
}

// WatchBlocks implements ipam.Store.
func (c Client) WatchBlocks(ctx context.Context, nodeUID string, to ipam.BlockWatcher) {
	more := make(chan struct{}, 1)
	c.s.mu.Lock()
	c.s.watches[more] = struct{}{}
	at := len(c.s.events)
	c.s.mu.Unlock()
	defer func() {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		delete(c.s.watches, more)
	}()
	for begin := true; ; {
		if begin {
			all := c.s.since(at, nodeUID)
			if !c.s.lag(ctx, nodeUID) {
				return
			}
			to.Reset(all)
			begin = false
		}
		e, next, ok := c.s.next(at, nodeUID)
		if !ok {
			at = next
			select {
			case <-ctx.Done():
				return
			case <-more:
			}
			continue
		}
		if !c.s.lag(ctx, nodeUID) {
			return
		}
		twist := Straight
		if c.s.Twist != nil {
			twist = c.s.Twist(nodeUID)
		}
		switch twist {
		case Break:
			begin, at = true, c.s.length()
			continue
		case Back:
			begin, at = true, max(0, at-8)
			continue
		case Twice:
			c.s.deliver(e, to)
		}
		c.s.deliver(e, to)
		at = next
	}
}

func (s *Store) deliver(e event, to ipam.BlockWatcher) {
	s.mu.Lock()
	s.delivered++
	s.mu.Unlock()
	if e.gone {
		to.Gone(copied(e.block))
	} else {
		to.Changed(copied(e.block))
	}
}

func (s *Store) length() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// next is the first event of a node from a place on, and the place behind it.
func (s *Store) next(at int, nodeUID string) (event, int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; at < len(s.events); at++ {
		if s.events[at].block.NodeUID == nodeUID {
			return s.events[at], at + 1, true
		}
	}
	return event{}, at, false
}

// since is what a node had before an event.
func (s *Store) since(at int, nodeUID string) (all []ipam.Block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks := map[string]ipam.Block{}
	for _, e := range s.events[:at] {
		if e.gone {
			delete(blocks, e.block.Name)
		} else {
			blocks[e.block.Name] = e.block
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(blocks), strings.Compare) {
		if b := blocks[name]; b.NodeUID == nodeUID {
			all = append(all, copied(b))
		}
	}
	return all
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
