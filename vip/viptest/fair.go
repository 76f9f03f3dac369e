package viptest

import (
	"context"
	"fmt"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// stall is a time in which the kernel changed no interface of anybody: one lock is for all namespaces, and whoever removes many of them has
// it for seconds. No program can take or let go of an address then.
type stall struct{ from, to time.Duration }

// The kernel is asked for a change that is none every canaryEvery; what takes longer than slow is a stall.
const (
	canaryEvery = 20 * time.Millisecond
	slow        = 60 * time.Millisecond
)

// Fair has gaps told without the time in which the kernel stood still for all, which is no program's fault. Tests beside others want that;
// who measures has the machine alone.
func (w *Watch) Fair(s *Site) error {
	c, err := link.Dial(s.Client)
	if err != nil {
		return fmt.Errorf("look whether the kernel stands still: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop := w.cancel
	w.cancel = func() { cancel(); stop() }
	w.parts.Go(func() {
		defer c.Close()
		for t := time.NewTicker(canaryEvery); ctx.Err() == nil; <-t.C {
			from := time.Since(w.began)
			if err := c.Apply(link.Up("lo", 1)); err != nil {
				return // the namespace goes
			}
			if to := time.Since(w.began); to-from > slow {
				w.mu.Lock()
				w.stalls = append(w.stalls, stall{from, to})
				w.mu.Unlock()
			}
		}
	})
	return nil
}

// stalled is for how long the kernel stood still between two times.
func (w *Watch) stalled(from, to time.Duration) (sum time.Duration) {
	for _, s := range w.stalls {
		sum += max(0, min(s.to, to)-max(s.from, from))
	}
	return sum
}
