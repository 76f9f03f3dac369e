package attach

import (
	"context"
	"sync"
)

// sandboxes lets one call at a time work on a sandbox.
type sandboxes struct {
	mu   sync.Mutex
	busy map[string]*turn
}

// turn is the right to work on one sandbox.
type turn struct {
	taken   chan struct{} // holds one token while somebody works
	waiting int           // who holds or wants it
	// cancel ends the ADD that holds it.
	cancel context.CancelCauseFunc
}

// take waits for the sandbox. The caller calls the returned function when he is done.
func (s *sandboxes) take(ctx context.Context, id string) (release func(), err error) {
	t := s.queue(id)
	select {
	case t.taken <- struct{}{}:
		return func() { <-t.taken; s.leave(id, t) }, nil
	case <-ctx.Done():
		s.leave(id, t)
		return nil, context.Cause(ctx)
	}
}

// try takes the sandbox unless somebody works on it.
func (s *sandboxes) try(id string) (release func(), ok bool) {
	t := s.queue(id)
	select {
	case t.taken <- struct{}{}:
		return func() { <-t.taken; s.leave(id, t) }, true
	default:
		s.leave(id, t)
		return nil, false
	}
}

func (s *sandboxes) queue(id string) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.busy[id]
	if t == nil {
		if s.busy == nil {
			s.busy = map[string]*turn{}
		}
		t = &turn{taken: make(chan struct{}, 1)}
		s.busy[id] = t
	}
	t.waiting++
	return t
}

func (s *sandboxes) leave(id string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.waiting--; t.waiting == 0 {
		delete(s.busy, id)
	}
}

// interruptible lets interrupt end the work of who holds the sandbox; nil takes that back.
func (s *sandboxes) interruptible(id string, cancel context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.busy[id]; t != nil {
		t.cancel = cancel
	}
}

// interrupt ends an ADD that works on the sandbox, because its DEL has come.
func (s *sandboxes) interrupt(id string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.busy[id]; t != nil && t.cancel != nil {
		t.cancel(why)
	}
}
