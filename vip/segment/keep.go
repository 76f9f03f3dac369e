package segment

import (
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/socket"
)

// The addresses leave the device by themselves after lifetime, should nobody
// refresh them: the second line behind the fence. The interface is looked at
// every glance.
const (
	lifetime = 3 * time.Second
	refresh  = time.Second
	glance   = 100 * time.Millisecond
)

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
		case owns && time.Since(refreshed) >= refresh:
			s.place()
			placed, refreshed = true, time.Now()
		case !owns && placed:
			s.vacate()
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

// place puts the addresses on the device, or prolongs their lives.
func (s *Segment) place() {
	var ops []link.Op
	for _, a := range s.Addresses {
		ops = append(ops, link.PutAddress(Device, s.device, host(a), link.AddressOptions{NoPrefixRoute: true, Valid: lifetime, Aside: true}))
	}
	err := s.conn.Apply(ops...)
	if link.Missing(err) { // somebody removed the device
		if err = s.make(); err == nil {
			err = s.conn.Apply(ops...)
		}
	}
	s.said.place(s.Log, err)
}

// vacate takes the addresses away, and the connections that are left with them.
func (s *Segment) vacate() {
	var ops []link.Op
	for _, a := range s.Addresses {
		ops = append(ops, link.DeleteAddress(Device, s.device, host(a)).Forgiving())
	}
	s.said.place(s.Log, s.conn.Apply(ops...))
	for _, a := range s.Addresses {
		if n, err := socket.Destroy(a); n > 0 || err != nil {
			s.Log.Info("ended the connections of an address that has left", "address", a, "connections", n, "err", err)
		}
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
