package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// Config of a Machine.
type Config struct {
	Version   uint8
	Router    uint8
	Addresses []netip.Addr
	Password  string // of version 2, "" for none
	// Self is the address that advertisements are sent from: of two with the
	// same priority, the greater one owns.
	Self     netip.Addr
	Priority uint8 // 2 to 254; 255 only for a node whose own address it is
	Interval time.Duration
	// Preempt takes the addresses from an owner of less priority.
	Preempt bool
}

// Unready is the priority of a node that would not serve well: it owns only
// while nobody else does, and gives way also without Preempt.
const Unready = 1

// Machine is one virtual router on one node (RFC 9568 §6.4). It is not safe for
// concurrent use. Every method takes the time and returns what to do now.
type Machine struct {
	Config
	unready bool
	owner   bool
	active  time.Duration // the owner's interval, learned
	next    lease.Instant // the owner's next advertisement, or when a backup takes over
	until   lease.Instant
	before  lease.Instant // until, without the last advertisement
	due     lease.Instant // when Tick was to be called
}

// Output is what to do now.
type Output struct {
	// Send is what to advertise, if anything, after the fence was told Until.
	Send *Advertisement
	// Until is when the node stops owning unless it is told a later one: the
	// fence's deadline. Zero is now.
	Until lease.Instant
	// Next is when Tick is to be called at the latest.
	Next lease.Instant
}

// New begins as a backup, 255 included, that listens for as long as the owner
// may be silent: a node that restarts takes nothing from one that it has not heard yet.
func New(c Config, now lease.Instant) (*Machine, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	m := &Machine{Config: c, active: c.Interval}
	m.backup(now, c.Interval)
	m.output(now, nil)
	return m, nil
}

// Check says what is wrong with a configuration, but for Self.
func (c Config) Check() error {
	if err := c.advertisement(c.Priority).check(); err != nil {
		return fmt.Errorf("virtual router %d: %w", c.Router, err)
	}
	if c.Priority <= Unready {
		return fmt.Errorf("virtual router %d: priority %d is that of a node that leaves, or does not serve well: use 2 to 254", c.Router, c.Priority)
	}
	return nil
}

func (c Config) advertisement(priority uint8) *Advertisement {
	return &Advertisement{Version: c.Version, Router: c.Router, Priority: priority, Interval: c.Interval, Addresses: c.Addresses, Password: c.Password}
}

// priority is what the node says now.
func (m *Machine) priority() uint8 {
	if m.unready {
		return Unready
	}
	return m.Priority
}

// skew lets the backup of most priority be first (RFC 9568 §6.1; version 2
// counts it in seconds whatever the interval is, RFC 3768 §6.1).
func (m *Machine) skew() time.Duration {
	unit := m.active
	if m.Version == 2 {
		unit = time.Second
	}
	return time.Duration(256-int(m.priority())) * unit / 256
}

// down is how long a backup waits for the owner: Active_Down_Interval.
func (m *Machine) down() time.Duration { return 3*m.active + m.skew() }

// Tick is called when Next has come, or earlier, and after Hear was told what
// has arrived.
func (m *Machine) Tick(now lease.Instant) Output {
	m.awake(now)
	if now >= m.next {
		return m.advertise(now)
	}
	return m.output(now, nil)
}

// awake listens anew after the node was stopped: an owner for so long that
// another one may own, a backup for so long that it may have missed the owner.
func (m *Machine) awake(now lease.Instant) {
	if m.owner && now >= m.until {
		m.backup(now, m.Interval)
	}
	if !m.owner && now > m.due.Add(m.active/2) {
		m.backup(now, m.active)
	}
}

// advertise begins or keeps owning. No backup waits for less than three
// intervals, whatever its priority; half an interval of it is for the way.
func (m *Machine) advertise(now lease.Instant) Output {
	m.owner, m.active = true, m.Interval
	m.next = now.Add(m.Interval)
	m.before = m.until
	m.until = now.Add(3*m.Interval - m.Interval/2)
	return m.output(now, m.advertisement(m.priority()))
}

// Unsent takes back what the last advertisement gave: nobody has heard it, so the
// others wait for no longer than before.
func (m *Machine) Unsent(now lease.Instant) Output {
	if m.owner {
		m.until = min(m.until, m.before)
		m.awake(now)
	}
	return m.output(now, nil)
}

// Foreign says why an advertisement is not obeyed, "" when it is. Whoever
// carries the machine out has found that it came from no router.
func (m *Machine) Foreign(a Advertisement, from netip.Addr) string {
	switch {
	case from.Is4() != m.Self.Is4():
		return "it is of another address family"
	case a.Version != m.Version:
		return fmt.Sprintf("it is of VRRP version %d, this node speaks version %d", a.Version, m.Version)
	case a.Password != m.Password:
		return "its password is another one"
	case a.Version == 2 && a.Interval != m.Interval: // RFC 3768 §7.1
		return fmt.Sprintf("its interval is %s, this node's is %s, and with version 2 all must have the same", a.Interval, m.Interval)
	}
	return ""
}

// Hear takes what another node advertised. One of another router changes
// nothing, nor one that is Foreign.
func (m *Machine) Hear(a Advertisement, from netip.Addr, now lease.Instant) Output {
	m.awake(now)
	if a.Router != m.Router || from == m.Self || m.Foreign(a, from) != "" {
		return m.output(now, nil)
	}
	if m.owner {
		return m.contend(a, from, now)
	}
	switch mine := m.priority(); {
	case a.Priority == Leaving:
		m.next = now.Add(m.skew())
	case a.Priority == Unready && mine > Unready:
	case !m.Preempt || a.Priority >= mine:
		m.backup(now, a.Interval)
	}
	return m.output(now, nil)
}

// contend is an owner that hears another one. Less is contradicted at once, so
// that it stops (RFC 9568 §6.4.3).
func (m *Machine) contend(a Advertisement, from netip.Addr, now lease.Instant) Output {
	if mine := m.priority(); a.Priority > mine || a.Priority == mine && from.Compare(m.Self) > 0 {
		m.backup(now, a.Interval)
		return m.output(now, nil)
	}
	return m.advertise(now)
}

func (m *Machine) backup(now lease.Instant, interval time.Duration) {
	m.owner, m.active, m.until = false, interval, 0
	m.next = now.Add(m.down())
}

// Leave stops owning, and tells the backups not to wait. Close the fence first.
func (m *Machine) Leave(now lease.Instant) Output {
	was := m.owner && now < m.until
	m.backup(now, m.Interval)
	if !was {
		return m.output(now, nil)
	}
	return m.output(now, m.advertisement(Leaving))
}

// SetReady tells whether the node would serve well. An owner that does not any
// more leaves, and has the addresses again if nobody takes them.
func (m *Machine) SetReady(now lease.Instant, ready bool) Output {
	m.awake(now)
	was := m.unready
	m.unready = !ready
	if m.owner && m.unready && !was {
		return m.Leave(now)
	}
	if !m.owner && was && ready { // the wait was that of less priority
		m.next = min(m.next, now.Add(m.down()))
	}
	return m.output(now, nil)
}

// Owner tells whether the node owns at that time.
func (m *Machine) Owner(now lease.Instant) bool { return m.owner && now < m.until }

// OwnerInterval is the time between two advertisements of the owner.
func (m *Machine) OwnerInterval() time.Duration { return m.active }

// output asks backups to be called twice in an interval too, so that they notice
// when they were stopped.
func (m *Machine) output(now lease.Instant, send *Advertisement) Output {
	m.due = min(m.next, now.Add(m.active/2))
	return Output{Send: send, Until: m.until, Next: m.due}
}
