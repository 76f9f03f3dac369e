package segment

import (
	"time"

	"github.com/tsunagu-net/tsunagu/vip/carrier"
)

// glance is how often the interface is looked at. That the addresses leave their
// device by themselves (carrier.Lifetime) is the second line behind the fence.
const glance = 100 * time.Millisecond

// bursts are the times after the beginning at which the addresses are announced:
// at once, and again because a frame may be lost and a switch may not be ready;
// then every so often, for switches that forget.
var (
	bursts  = []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}
	refrain = 30 * time.Second
)

// nextBurst is when to announce after the nth time.
func nextBurst(n int) time.Duration {
	if n < len(bursts) {
		return bursts[n]
	}
	return bursts[len(bursts)-1] + time.Duration(n-len(bursts)+1)*refrain
}

// keep places the addresses while the node owns, announces them, and takes them
// away.
func (s *Segment) keep() {
	defer close(s.done)
	var (
		began, refreshed time.Time
		told             int
		placed           bool
		looked           time.Time
	)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.ctx.Err() == nil {
		select {
		case <-s.turn:
			if s.owns.Load() {
				began, told, refreshed = time.Now(), 0, time.Time{}
			}
		case <-timer.C:
		case <-s.ctx.Done():
		}
		owns := s.owns.Load() && s.ctx.Err() == nil
		switch {
		case owns && time.Since(refreshed) >= carrier.Refresh:
			s.said.place(s.Log, s.carrier.Place())
			placed, refreshed = true, time.Now()
		case !owns && placed:
			s.said.place(s.Log, s.carrier.Vacate())
			placed = false
		}
		wait := glance
		if owns {
			if time.Since(began) >= nextBurst(told) {
				s.announce()
				told++
			}
			wait = min(wait, time.Until(began.Add(nextBurst(told))))
		}
		if time.Since(looked) >= glance {
			looked = time.Now()
			if s.look() {
				told = 0
			}
		}
		timer.Reset(max(wait, 0))
	}
}

// look follows the interface, and tells whether what was announced must be said
// again.
func (s *Segment) look() (again bool) {
	s.mu.Lock()
	was := s.nic
	s.mu.Unlock()
	nic, err := s.conn.ByName(s.Interface)
	if err == nil {
		err = s.bind(nic)
	} else {
		s.up.Store(false)
	}
	s.said.follow(s.Log, err)
	return err == nil && (was.Index != nic.Index || string(was.MAC) != string(nic.MAC) || !was.Carrier && nic.Carrier)
}

// announce tells the segment where the addresses are. What may not be said any
// more is held back by the fence.
func (s *Segment) announce() {
	if !s.allowed() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.Addresses {
		s.said.announce(s.Log, s.station.Announce(a, s.nic.MAC))
	}
}
