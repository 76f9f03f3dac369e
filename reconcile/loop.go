package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Options says when passes happen. Zero values are the defaults.
type Options struct {
	// Name is the loop's in logs.
	Name string
	// Audit is the longest time without a pass (30 s); a tenth more or less, so that many nodes do not move in step. Negative is never.
	Audit time.Duration
	// Settle is how long a pass waits after a kick for more of them (0).
	Settle time.Duration
	// Spacing is the shortest time from the end of a pass to the next (0), so that endless kicks do not keep a processor busy. The
	// first kick after a quiet time is not delayed by it.
	Spacing time.Duration
	// Backoff is the delay after the first failure in a row (100 ms); it doubles up to BackoffMax (10 s). A kick cuts it short, though
	// not below Backoff.
	Backoff, BackoffMax time.Duration
}

func (o Options) withDefaults() Options {
	for d, standard := range map[*time.Duration]time.Duration{
		&o.Audit: 30 * time.Second, &o.Backoff: 100 * time.Millisecond, &o.BackoffMax: 10 * time.Second,
	} {
		if *d == 0 {
			*d = standard
		}
	}
	return o
}

// Loop calls a pass again and again. Make it with New, let it live with Run.
type Loop struct {
	o     Options
	pass  func(context.Context) error
	log   *slog.Logger
	kicks chan struct{}
	ready chan struct{}

	mu     sync.Mutex
	status Status
}

// New makes a loop around a pass. A pass that can go on only after something outside has changed returns a Waiting.
func New(o Options, log *slog.Logger, pass func(context.Context) error) *Loop {
	return &Loop{
		o: o.withDefaults(), pass: pass, log: log.With("loop", o.Name),
		kicks: make(chan struct{}, 1), ready: make(chan struct{}),
	}
}

// Kick asks for a pass soon. A pass that has begun before does not count. It never blocks.
func (l *Loop) Kick() {
	select {
	case l.kicks <- struct{}{}:
	default: // one that has not begun yet is asked for already
	}
}

// Ready is closed after the first pass without an error.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Run passes until the context ends, which is not an error.
func (l *Loop) Run(ctx context.Context) error {
	for {
		err := l.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		next := l.record(err)
		if !l.pause(ctx, next) {
			return nil
		}
	}
}

// pause waits for the next pass: a kick, or what the last outcome asks for. It is false when the context has ended.
func (l *Loop) pause(ctx context.Context, p pauses) bool {
	if !sleep(ctx, p.atLeast) {
		return false
	}
	var due <-chan time.Time
	if p.atMost >= 0 {
		t := time.NewTimer(p.atMost - p.atLeast)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-due:
	case <-l.kicks:
		if !sleep(ctx, l.o.Settle) {
			return false
		}
	}
	select { // what was asked for while settling is part of the coming pass
	case <-l.kicks:
	default:
	}
	return true
}

// pauses bound the time to the next pass; atMost below 0 is no bound.
type pauses struct{ atLeast, atMost time.Duration }

// record keeps the outcome of a pass and decides on the pause after it.
func (l *Loop) record(err error) pauses {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.status
	s.Passes++
	s.LastPass = time.Now()
	previous := s.Err
	s.Err = err
	var waiting Waiting
	switch {
	case err == nil:
		if s.Failures > 0 {
			l.log.Info("works again", "failures", s.Failures)
		}
		s.Failures, s.LastSuccess = 0, s.LastPass
		select {
		case <-l.ready:
		default:
			close(l.ready)
		}
	case errors.As(err, &waiting):
		s.Failures = 0
		if previous == nil || previous.Error() != err.Error() {
			l.log.Info("waiting", "for", err)
		}
	default:
		s.Failures++
		delay := l.delay(s.Failures)
		if previous == nil || previous.Error() != err.Error() {
			l.log.Error("pass", "err", err, "again_in", delay)
		}
		return pauses{atLeast: min(l.o.Backoff, delay), atMost: delay}
	}
	return pauses{atLeast: l.o.Spacing, atMost: spread(l.o.Audit)}
}

// delay doubles with every failure in a row.
func (l *Loop) delay(failures int) time.Duration {
	d := l.o.Backoff
	for i := 1; i < failures && d < l.o.BackoffMax; i++ {
		d *= 2
	}
	return min(d, l.o.BackoffMax)
}

// spread is d, a tenth more or less.
func spread(d time.Duration) time.Duration {
	if d < 10 {
		return d
	}
	return d - d/10 + rand.N(d/5)
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
