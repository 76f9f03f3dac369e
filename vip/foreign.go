package vip

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// foreign tells of datagrams that are not from the cluster's own nodes, each
// sender once in a while: two clusters with one address are a mistake that
// somebody must hear of.
type foreign struct {
	mu    sync.Mutex
	said  map[netip.Addr]time.Time
	times int64
}

// count is how many there were.
func (f *foreign) count() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.times
}

// sayAgain is how often one sender is told of, mostSenders how many are
// remembered.
const (
	sayAgain    = 10 * time.Minute
	mostSenders = 256
)

func (f *foreign) tell(log *slog.Logger, from netip.Addr, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times++
	if time.Since(f.said[from]) < sayAgain && !f.said[from].IsZero() {
		return
	}
	if f.said == nil || len(f.said) > mostSenders {
		f.said = map[netip.Addr]time.Time{}
	}
	f.said[from] = time.Now()
	log.Warn("a datagram is not accepted", "from", from, "why", why)
}
