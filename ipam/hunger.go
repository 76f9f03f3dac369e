package ipam

import (
	"context"
	"time"
)

// hunger is what a node remembers of waiting for an address of a full pool, so
// that of many nodes none waits much longer than the others. Nobody stands in a
// line, because that would be another write for each Pod: who has waited for
// long looks often, who has just had an address waits before it looks.
type hunger struct {
	// since is when somebody here began to wait, also over several takes, asked
	// when somebody last did; zero when nobody does.
	since, asked time.Time
	// last is how long the wait for the last address was.
	last time.Duration
}

// forgotten is after how long without a take nobody waits any more. A runtime
// comes again within seconds, or minutes if it was refused often.
const forgotten = 5 * time.Minute

// begin notes that somebody waits.
func (h *hunger) begin(now time.Time) {
	if h.since.IsZero() || now.Sub(h.asked) > forgotten {
		h.since = now
	}
	h.asked = now
}

// end notes that somebody got an address.
func (h *hunger) end(now time.Time) {
	if !h.since.IsZero() {
		h.last, h.since = now.Sub(h.since), time.Time{}
	}
}

// pause is how long to wait before a full pool is looked at again. Who has
// waited for two seconds looks seventeen times as often as who has just come,
// so of fifty nodes on fourteen addresses none waits three times as long as the
// mean. A pool that stays full is looked at less often.
func (h *hunger) pause(now time.Time) time.Duration {
	const most, least = 500 * time.Millisecond, 20 * time.Millisecond
	age := now.Sub(h.since)
	t := age.Seconds()
	return max(time.Duration(float64(most)/(1+t*t*t*t)), least, age/100)
}

// modesty is until when a node that gave back an address does not look for the
// next: most of the time that others wait.
func (h *hunger) modesty(gave time.Time) time.Time {
	return gave.Add(min(h.last*4/5, time.Second))
}

// queue begins a wait for an address, and lets others go first if this node has
// just given one back.
func (a *Allocator) queue(ctx context.Context, p *Pool) {
	a.mu.Lock()
	h := &a.state(*p).hunger
	h.begin(time.Now())
	wait := time.Until(h.modesty(a.space(p.Domain).gave))
	a.mu.Unlock()
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// pace is how long to wait until the next look at a full pool.
func (a *Allocator) pace(p *Pool) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, now := &a.state(*p).hunger, time.Now()
	h.begin(now)
	pause := h.pause(now)
	return pause*3/4 + time.Duration(a.random.Int64N(int64(pause)/2))
}

// served ends a wait.
func (a *Allocator) served(p *Pool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state(*p).hunger.end(time.Now())
}
