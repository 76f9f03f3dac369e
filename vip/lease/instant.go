package lease

import "time"

// Instant is a point of a node's own time: nanoseconds since it booted,
// counted while it is suspended as well (CLOCK_BOOTTIME). Instants of two nodes
// are never compared.
type Instant time.Duration

// Never is later than everything.
const Never = Instant(1<<63 - 1)

// Add gives the instant d later.
func (i Instant) Add(d time.Duration) Instant {
	if i > Never-Instant(max(d, 0)) {
		return Never
	}
	return i + Instant(d)
}

// Sub is the time from o to i.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }
