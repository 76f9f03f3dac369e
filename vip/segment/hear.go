package segment

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/clock"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// heard answers who asks for an address, and contradicts who claims one.
func (s *Segment) heard(w wire.Said) {
	if !s.owns.Load() || !s.allowed() {
		return
	}
	mac := s.mac()
	if bytes.Equal(w.MAC, mac) {
		return
	}
	if slices.Contains(s.Addresses, w.Asks) && (w.Asks.Is6() || s.mute.Load()) {
		s.mu.Lock()
		s.said.announce(s.Log, s.station.Answer(w, mac))
		s.mu.Unlock()
	}
	// The former owner's last word may be on its way for a moment.
	if slices.Contains(s.Addresses, w.Has) && clock.Boot()-time.Duration(s.since.Load()) > lease.Default.Lease && s.strange.met() {
		s.Log.Warn("another host claims the address", "address", w.Has, "mac", w.MAC.String())
		s.announce()
	}
}

// Claims is how often another host was heard to claim an address that this node
// owned, counted at most once a second.
func (s *Segment) Claims() int {
	s.strange.mu.Lock()
	defer s.strange.mu.Unlock()
	return s.strange.times
}

// stranger counts claims, and lets each second one be answered.
type stranger struct {
	mu    sync.Mutex
	last  time.Time
	times int
}

func (x *stranger) met() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.last) < time.Second {
		return false
	}
	x.last = time.Now()
	x.times++
	return true
}

// spoken is what was said of each kind of trouble last, so that it is said once.
type spoken struct {
	mu   sync.Mutex
	last map[string]string
}

func (x *spoken) once(log *slog.Logger, what string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := ""
	if err != nil {
		now = err.Error()
	}
	if x.last == nil {
		x.last = map[string]string{}
	}
	was := x.last[what]
	if x.last[what] = now; was == now {
		return
	}
	if err != nil {
		log.Error(what, "err", err)
	} else {
		log.Info(what + ": works again")
	}
}

func (x *spoken) place(log *slog.Logger, err error)  { x.once(log, "place the addresses", err) }
func (x *spoken) follow(log *slog.Logger, err error) { x.once(log, "follow the interface", err) }

// announce does not mind that a frame was not sent: with a closed fence, or a
// cable that was pulled, none is.
func (x *spoken) announce(log *slog.Logger, err error) {
	if err != nil {
		log.Debug("announce the addresses", "err", err)
	}
}

var _ interface {
	Allow(lease.Instant) error
	Own(bool)
} = (*Segment)(nil)
