package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// Instant is a point of the node's own time, since it booted.
type Instant time.Duration

func (i Instant) add(d time.Duration) Instant { return i + Instant(d) }

// Config of a Machine.
type Config struct {
	Version   uint8
	Router    uint8
	Addresses []netip.Addr
	// Self is the address that advertisements are sent from: of two with the
	// same priority, the greater one owns.
	Self     netip.Addr
	Priority uint8 // 1 to 254; 255 only for a node whose own address it is
	Interval time.Duration
	// Preempt takes the addresses from an owner of less priority.
	Preempt bool
}

// Machine is one virtual router on one node (RFC 9568 §6.4). It is not safe for
// concurrent use. Every method takes the time and returns what to do now.
type Machine struct {
	Config
	owner  bool
	active time.Duration // the owner's interval, learned
	next   Instant       // the owner's next advertisement, or when a backup takes over
	until  Instant
	due    Instant // when Tick was to be called
}

// Output is what to do now.
type Output struct {
	// Send is what to advertise, if anything.
	Send *Advertisement
	// Until is when the node stops owning unless it is told a later one: the
	// fence's deadline. Zero is now.
	Until Instant
	// Next is when Tick is to be called at the latest.
	Next Instant
}

// New begins as a backup, 255 included, that listens for as long as the owner
// may be silent: a node that restarts takes nothing from one that it has not heard yet.
func New(c Config, now Instant) (*Machine, error) {
	m := &Machine{Config: c, active: c.Interval}
	if err := m.advertisement(c.Priority).check(); err != nil {
		return nil, fmt.Errorf("router %d: %w", c.Router, err)
	}
	if c.Priority == Leaving {
		return nil, fmt.Errorf("router %d: priority 0 is said by a node that leaves, use 1 to 254", c.Router)
	}
	m.backup(now, c.Interval)
	m.output(now, nil)
	return m, nil
}

func (m *Machine) advertisement(priority uint8) *Advertisement {
	return &Advertisement{Version: m.Version, Router: m.Router, Priority: priority, Interval: m.Interval, Addresses: m.Addresses}
}

// skew lets the backup of most priority be first (RFC 9568 §6.1; version 2
// counts it in seconds whatever the interval is, RFC 3768 §6.1).
func (m *Machine) skew() time.Duration {
	unit := m.active
	if m.Version == 2 {
		unit = time.Second
	}
	return time.Duration(256-int(m.Priority)) * unit / 256
}

// down is how long a backup waits for the owner: Active_Down_Interval.
func (m *Machine) down() time.Duration { return 3*m.active + m.skew() }

// Tick is called when Next has come, or earlier, and after Hear was told what
// has arrived.
func (m *Machine) Tick(now Instant) Output {
	m.awake(now)
	if now >= m.next {
		return m.advertise(now)
	}
	return m.output(now, nil)
}

// awake listens anew after the node was stopped: an owner for so long that
// another one may own, a backup for so long that it may have missed the owner.
func (m *Machine) awake(now Instant) {
	if m.owner && now >= m.until {
		m.backup(now, m.Interval)
	}
	if !m.owner && now > m.due.add(m.active/2) {
		m.backup(now, m.active)
	}
}

// advertise begins or keeps owning. No backup waits for less than three
// intervals, whatever its priority; half an interval of it is for the way.
func (m *Machine) advertise(now Instant) Output {
	m.owner, m.active = true, m.Interval
	m.next = now.add(m.Interval)
	m.until = now.add(3*m.Interval - m.Interval/2)
	return m.output(now, m.advertisement(m.Priority))
}

// Hear takes what another node advertised. One of another router, version or
// family changes nothing, nor one of version 2 with another interval (RFC 3768
// §7.1).
func (m *Machine) Hear(a Advertisement, from netip.Addr, now Instant) Output {
	m.awake(now)
	if a.Router != m.Router || a.Version != m.Version || from == m.Self || from.Is4() != m.Self.Is4() ||
		m.Version == 2 && a.Interval != m.Interval {
		return m.output(now, nil)
	}
	if m.owner {
		return m.contend(a, from, now)
	}
	switch {
	case a.Priority == Leaving:
		m.next = now.add(m.skew())
	case !m.Preempt || a.Priority >= m.Priority:
		m.backup(now, a.Interval)
	}
	return m.output(now, nil)
}

// contend is an owner that hears another one. Less is contradicted at once, so
// that it stops (RFC 9568 §6.4.3).
func (m *Machine) contend(a Advertisement, from netip.Addr, now Instant) Output {
	if a.Priority > m.Priority || a.Priority == m.Priority && from.Compare(m.Self) > 0 {
		m.backup(now, a.Interval)
		return m.output(now, nil)
	}
	return m.advertise(now)
}

func (m *Machine) backup(now Instant, interval time.Duration) {
	m.owner, m.active, m.until = false, interval, 0
	m.next = now.add(m.down())
}

// Leave stops owning, and tells the backups not to wait. Close the fence first.
func (m *Machine) Leave(now Instant) Output {
	was := m.owner
	m.backup(now, m.Interval)
	if !was {
		return m.output(now, nil)
	}
	return m.output(now, m.advertisement(Leaving))
}

// Owner tells whether the node owns at that time.
func (m *Machine) Owner(now Instant) bool { return m.owner && now < m.until }

// output asks backups to be called twice in an interval too, so that they notice
// when they were stopped.
func (m *Machine) output(now Instant, send *Advertisement) Output {
	m.due = min(m.next, now.add(m.active/2))
	return Output{Send: send, Until: m.until, Next: m.due}
}
