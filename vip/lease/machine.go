package lease

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Config of a Machine.
type Config struct {
	Self ID
	// Start distinguishes this start of the node from all others: a random
	// number.
	Start  uint64
	Timing Timing
	// Kept is what the node kept last; its Members are the configured ones
	// before it kept any, and empty for a node that is to be taken in.
	Kept
	// Contacts are nodes that may take this one in, besides those it knows; ""
	// is whoever answers at the address that is owned.
	Contacts []ID
	Health   Health
	// First tells that no other process of this node can have made a promise
	// that still lasts: none has run since the node booted.
	First bool
	// Preempt moves the ownership to a node of more weight as soon as there is
	// one. Without it only an owner that is not ready gives way.
	Preempt bool
	// Admit takes nodes into the list that say Hello.
	Admit bool
	Seed  uint64
}

// Machine is one node. It is not safe for concurrent use. Every method takes
// the time and returns what to do now.
type Machine struct {
	Config
	// acceptor
	promise promise
	seen    uint64  // the highest epoch
	mute    Instant // promises nothing before
	// candidate and owner
	role  role
	me    attempt
	tryAt Instant // when to try to become the owner
	heir  Instant // until when the former owner's wish is pursued
	// peers are what the others said last
	peers   map[ID]peer
	change  []ID // what the owner's list is to become
	joining bool // in no list yet
	known   bool // another node has had the same list since the start, with this node in it
	late    time.Duration
	nextDue Instant
	helloAt Instant
	random  *rand.Rand
	out     Output
}

type role uint8

const (
	follower role = iota
	asking
	requesting
	owning
)

// peer is what a node said last of itself.
type peer struct {
	health Health
	heard  Instant
	list   Version // the newest list that it is known to have
	floor  uint64  // the highest floor that it is known to have kept
}

// Lease is the right to own.
type Lease struct {
	// Held is false if the node must not own.
	Held  bool
	Epoch uint64
	// Until is when the right ends by itself.
	Until Instant
}

// Output says what to do, in this order: let the fence say Lease, write Keep to
// disk, send Send.
type Output struct {
	Lease Lease
	// Keep is what the node must start with next time.
	Keep *Kept
	Send []Message
	// Next is when Tick wants to be called at the latest.
	Next Instant
	// Notes are for the log.
	Notes []string
}

// New makes a node that starts now.
func New(now Instant, c Config) (*Machine, error) {
	if c.Self == "" || len(c.Members.In)+len(c.Contacts) == 0 {
		return nil, errors.New("lease: the node needs a name, and a list of members or somebody who takes it in")
	}
	if err := c.Timing.check(); err != nil {
		return nil, err
	}
	if c.Health.Weight < 0 {
		return nil, fmt.Errorf("weight %d: must be 0 (a witness, which never owns) or more", c.Health.Weight)
	}
	m := &Machine{Config: c, peers: map[ID]peer{}, random: rand.New(rand.NewPCG(c.Seed, c.Start)), nextDue: now, helloAt: now,
		seen: max(c.Floor, c.Members.Version.Epoch), joining: !c.Members.Has(c.Self)}
	if m.joining {
		m.meet(c.Members)
	}
	if !c.First {
		m.mute = now.Add(c.Timing.longest())
	}
	m.tryAt = max(now, m.mute).Add(m.jitter(c.Timing.Beat / 2))
	return m, nil
}

// Tick does what is due.
func (m *Machine) Tick(now Instant) Output {
	m.begin(now)
	if late := now.Sub(m.nextDue); late > 0 {
		m.noteLate(late)
	}
	m.due(now)
	return m.end(now)
}

// Receive takes a message in. What is due is done as well.
func (m *Machine) Receive(now Instant, in Message) Output {
	m.begin(now)
	if (in.To == m.Self || in.To == "") && in.From.ID != m.Self && in.From.ID != "" {
		m.learn(now, in)
		switch in.Kind {
		case Ask:
			m.answer(now, in)
		case Yes, No:
			m.counted(now, in)
		case Request:
			m.requested(now, in)
		case Ack, Nack:
			m.granted(now, in)
		case Release:
			m.released(now, in)
		case Hello:
			m.greeted(now, in)
		}
	}
	m.due(now)
	return m.end(now)
}

// SetHealth tells how the node is.
func (m *Machine) SetHealth(now Instant, h Health) Output {
	m.begin(now)
	m.Health = h
	if m.role != owning && h.Weight == 0 {
		m.withdraw(now, Never)
	}
	m.due(now)
	return m.end(now)
}

// Status is for people.
type Status struct {
	Lease   Lease
	Members Members
	// Promised is whom the node knows to own, if it does.
	Promised ID
	Epoch    uint64
	Health   Health
	Lag      time.Duration // how late the node's own ticks are
	// Joining tells that the node asks to be taken in.
	Joining bool
	// Peers are the other nodes that were heard of.
	Peers map[ID]PeerStatus
}

// PeerStatus is what is known of another node.
type PeerStatus struct {
	Health Health
	// Silent is how long ago it was heard.
	Silent time.Duration
}

// Status tells how things are.
func (m *Machine) Status(now Instant) Status {
	s := Status{Lease: m.lease(now), Members: m.Members, Epoch: m.seen, Health: m.Health, Lag: m.late, Joining: m.joining, Peers: map[ID]PeerStatus{}}
	for id, p := range m.peers {
		s.Peers[id] = PeerStatus{Health: p.health, Silent: now.Sub(p.heard)}
	}
	if m.promise.lasts(now) {
		s.Promised = m.promise.to.ID
	}
	return s
}

// begin looks at the clock before anything else: whatever is done or sent after
// this, a lease that has ended is not used.
func (m *Machine) begin(now Instant) {
	m.out = Output{}
	if m.role == owning && now >= m.me.until {
		m.note("lost the lease: no majority renewed it in time")
		m.withdraw(now, now.Add(m.jitter(m.Timing.Beat)))
	}
}

// due does what has come due.
func (m *Machine) due(now Instant) {
	switch {
	case m.role == owning:
		m.lead(now)
	case m.role == requesting:
		m.pursue(now)
	case m.role == asking && now >= m.me.giveUp:
		m.rest(now)
	}
	if m.role == follower && now >= m.tryAt {
		m.try(now)
	}
	if m.joining && now >= m.helloAt {
		m.hello(now)
	}
}

func (m *Machine) end(now Instant) Output {
	o := m.out
	o.Lease = m.lease(now)
	next := Never
	switch m.role {
	case follower:
		next = m.tryAt
	case asking:
		next = m.me.giveUp
	case requesting:
		next = min(m.me.giveUp, m.me.again)
	case owning:
		next = min(m.me.until, m.me.again)
	}
	if m.joining {
		next = min(next, m.helloAt)
	}
	o.Next = max(next, now)
	m.nextDue = o.Next
	return o
}

func (m *Machine) lease(now Instant) Lease {
	if m.role != owning || now >= m.me.until {
		return Lease{}
	}
	return Lease{Held: true, Epoch: m.me.epoch, Until: m.me.until}
}

// noteLate remembers how late the node's own ticks are: a node whose clock
// stutters asks for longer leases, so that it is not taken for dead by its own
// fault, and is slower to try.
func (m *Machine) noteLate(late time.Duration) {
	m.late = max(late, m.late-m.late/16)
}

// asked is the lease to ask for.
func (m *Machine) asked() time.Duration {
	return min(m.Timing.Lease+2*m.late, m.Timing.longest())
}

func (m *Machine) learn(now Instant, in Message) {
	p := m.peers[in.From.ID]
	p.heard, p.health, p.floor = now, in.Health, max(p.floor, in.Floor)
	if in.Members.Version.Compare(p.list) > 0 {
		p.list = in.Members.Version
	}
	m.peers[in.From.ID] = p
	m.adopt(in.Members)
	m.known = m.known || in.Members.Equal(m.Members) && m.Members.Has(m.Self)
}

func (m *Machine) send(kind Kind, to ID, fill func(*Message)) {
	x := Message{Kind: kind, From: Holder{m.Self, m.Start}, To: to, Epoch: m.seen, Floor: m.Floor, Members: m.Members, Health: m.Health}
	if fill != nil {
		fill(&x)
	}
	m.out.Send = append(m.out.Send, x)
}

// sendAll sends to every other member.
func (m *Machine) sendAll(kind Kind, fill func(*Message)) {
	for _, id := range m.Members.All() {
		if id != m.Self {
			m.send(kind, id, fill)
		}
	}
}

func (m *Machine) note(format string, args ...any) {
	m.out.Notes = append(m.out.Notes, fmt.Sprintf(format, args...))
}

func (m *Machine) jitter(most time.Duration) time.Duration {
	return time.Duration(m.random.Int64N(int64(max(most, 1))))
}
