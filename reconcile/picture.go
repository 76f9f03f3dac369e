package reconcile

import "sync"

// Picture is what is wanted, as last told. It is incomplete until somebody has told all of it once; who plans from an incomplete
// picture adds and changes, but removes nothing. The zero value is empty and incomplete.
type Picture[T any] struct {
	mu       sync.Mutex
	wanted   T
	complete bool
}

// Set tells the whole picture. The caller must not change wanted afterwards.
func (p *Picture[T]) Set(wanted T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.complete = wanted, true
}

// Get returns the picture and whether it is complete.
func (p *Picture[T]) Get() (wanted T, complete bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted, p.complete
}
