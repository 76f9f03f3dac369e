package lease

import "time"

// attempt is one try to own, and the ownership that comes of it.
type attempt struct {
	epoch uint64
	round uint64
	// sent are the times at which the rounds that may still be answered were
	// sent.
	sent map[uint64]Instant
	// valid is until when each node's promise may be counted.
	valid map[ID]Instant
	// free is, of an Ask, since or from when each node would grant.
	free   map[ID]Instant
	giveUp Instant
	again  Instant
	until  Instant
}

// mayOwn tells whether the node is one that can own at all.
func (m *Machine) mayOwn() bool { return m.Health.Weight > 0 && m.Members.Has(m.Self) }

// patience is how long a node waits before it tries: a little, differently on
// each, and much longer if it would serve badly.
func (m *Machine) patience() time.Duration {
	d := m.jitter(m.Timing.Beat / 2)
	if !m.Health.Ready {
		d += m.Timing.Lease
	}
	return d + min(m.late, m.Timing.Lease)
}

// try asks around whether a request would be granted.
func (m *Machine) try(now Instant) {
	if !m.mayOwn() {
		m.tryAt = now.Add(m.Timing.Lease)
		return
	}
	if now < m.heir { // the former owner said so: ask for the promises at once
		m.request(now)
		return
	}
	m.role = asking
	m.me = attempt{epoch: m.me.epoch, round: m.me.round + 1, free: map[ID]Instant{}, giveUp: now.Add(m.Timing.Beat)}
	_, left, ok := m.refusal(now, Holder{m.Self, m.Start}, m.seen)
	if ok {
		left = 0
	}
	m.me.free[m.Self] = now.Add(left)
	m.sendAll(Ask, func(x *Message) { x.Round = m.me.round })
	m.count(now)
}

// counted takes an answer to an Ask in.
func (m *Machine) counted(now Instant, in Message) {
	m.seen = max(m.seen, in.Epoch)
	if m.role != asking || in.Round != m.me.round || in.For != m.Start {
		return
	}
	switch {
	case in.Kind == Yes:
		m.me.free[in.From.ID] = now
	case in.Left > 0:
		m.me.free[in.From.ID] = now.Add(in.Left)
	default:
		return // another list; we may have learnt it just now
	}
	m.count(now)
}

// count requests as soon as a majority would grant.
func (m *Machine) count(now Instant) {
	// agreed wants the latest instants, a majority of the earliest is meant.
	at, ok := m.Members.agreed(func(id ID) (Instant, bool) {
		i, ok := m.me.free[id]
		return -i, ok
	})
	switch {
	case !ok:
	case -at <= now:
		m.request(now)
	default:
		m.role = follower
		m.tryAt = (-at).Add(m.jitter(m.Timing.Beat / 8))
	}
}

// rest ends a try that had no answer.
func (m *Machine) rest(now Instant) {
	m.role = follower
	m.tryAt = now.Add(m.Timing.Beat/2 + m.jitter(m.Timing.Beat))
}

// request asks everybody for the promise, with an epoch of its own.
func (m *Machine) request(now Instant) {
	m.role = requesting
	m.seen++
	m.me = attempt{epoch: m.seen, round: m.me.round, sent: map[uint64]Instant{}, valid: map[ID]Instant{}, giveUp: now.Add(2 * m.Timing.Beat)}
	m.beat(now, m.again(now))
	m.win(now)
}

// again is how soon a request is repeated. Where the former owner wished it, only
// loss or disorder of datagrams can have kept it from being granted.
func (m *Machine) again(now Instant) time.Duration {
	if now < m.heir {
		return m.Timing.Beat / 16
	}
	return m.Timing.Beat / 4
}

// pursue repeats a request that has no majority yet, for a while.
func (m *Machine) pursue(now Instant) {
	if now >= m.me.giveUp {
		m.withdraw(now, now.Add(m.Timing.Beat/2+m.jitter(m.Timing.Beat)))
		return
	}
	if now >= m.me.again {
		m.beat(now, m.again(now))
		m.win(now)
	}
}

// beat sends a request to everybody, the node itself included.
func (m *Machine) beat(now Instant, pause time.Duration) {
	m.me.round++
	m.me.again = now.Add(pause)
	lease := m.asked()
	self := Holder{m.Self, m.Start}
	if _, _, ok := m.refusal(now, self, m.me.epoch); ok && m.Members.Has(m.Self) {
		m.me.valid[m.Self] = now.Add(own(m.grant(now, self, m.me.epoch, lease)))
	}
	for round, at := range m.me.sent {
		if now.Sub(at) > m.Timing.longest() {
			delete(m.me.sent, round)
		}
	}
	m.me.sent[m.me.round] = now
	m.sendAll(Request, func(x *Message) {
		x.Epoch, x.Round, x.Lease, x.Owner = m.me.epoch, m.me.round, lease, m.role == owning
	})
}

// granted takes the answer to a request in.
func (m *Machine) granted(now Instant, in Message) {
	m.seen = max(m.seen, in.Epoch)
	if m.role != requesting && m.role != owning || in.For != m.Start {
		return
	}
	at, ok := m.me.sent[in.Round]
	if !ok {
		return
	}
	if in.Kind == Nack {
		// Promises are to a holder, whatever the epoch: the next request may
		// have a higher one.
		if in.Other == "" && in.Left == 0 {
			m.me.epoch = max(m.me.epoch, in.Epoch)
		}
		return
	}
	m.me.valid[in.From.ID] = max(m.me.valid[in.From.ID], at.Add(own(min(in.Lease, m.Timing.longest()))))
	m.win(now)
}

// win owns, or owns longer, if a majority has promised.
func (m *Machine) win(now Instant) {
	until, ok := m.Members.agreed(func(id ID) (Instant, bool) {
		i, ok := m.me.valid[id]
		return i, ok
	})
	if !ok || until <= now {
		return
	}
	if m.role == requesting {
		m.role, m.heir = owning, 0
		m.me.again = now // tell everybody at once that this node owns
		m.note("owns with epoch %d", m.me.epoch)
	}
	m.me.until = until
}

// withdraw ends an attempt or an ownership: nothing that was promised until now
// is counted any more, and everybody may know it.
func (m *Machine) withdraw(now Instant, again Instant) {
	if m.role == requesting || m.role == owning {
		m.letGo(now, "")
	}
	m.role = follower
	m.tryAt = again
	if again == Never {
		m.follow(now)
	}
}

// letGo tells everybody, itself included, that the promises are not counted any
// more.
func (m *Machine) letGo(now Instant, heir ID) {
	m.role = follower
	release := Message{From: Holder{m.Self, m.Start}, Epoch: m.me.epoch, Heir: heir}
	m.released(now, release)
	// The heir asks at once: it hears of it last, when the others know.
	say := func(x *Message) { x.Epoch, x.Heir = m.me.epoch, heir }
	for _, id := range m.Members.All() {
		if id != m.Self && id != heir {
			m.send(Release, id, say)
		}
	}
	if heir != "" {
		m.send(Release, heir, say)
	}
	m.me = attempt{epoch: m.me.epoch, round: m.me.round}
}
