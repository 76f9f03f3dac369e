package lease

import "time"

// promise is what a node has said to at most one holder: I make no such promise
// to anybody else until then.
type promise struct {
	to    Holder
	epoch uint64
	until Instant
	// wish names who should own next, after a planned release, until when.
	wish      ID
	wishUntil Instant
}

func (p promise) lasts(now Instant) bool { return p.to.ID != "" && now < p.until }

// refusal says why a request is not granted now, "" if it is.
func (m *Machine) refusal(now Instant, from Holder, epoch uint64) (why ID, left time.Duration, ok bool) {
	p := m.promise
	switch {
	case now < m.mute:
		// A promise of this node's former process may still last.
		return "", m.mute.Sub(now), false
	case p.lasts(now) && p.to != from:
		return p.to.ID, p.until.Sub(now), false
	case !p.lasts(now) && p.wish != "" && p.wish != from.ID && now < p.wishUntil:
		return p.wish, p.wishUntil.Sub(now), false
	case epoch < m.seen && !(p.lasts(now) && p.to == from && epoch >= p.epoch):
		// Late, or of a candidate that does not know the newest attempt yet.
		return "", 0, false
	}
	return "", 0, true
}

// answer says whether a request would be granted. Nothing changes: a node that
// comes back from a partition and cannot win must not disturb the owner.
func (m *Machine) answer(now Instant, in Message) {
	other, left, ok := m.refusal(now, in.From, m.seen)
	ok = ok && m.sameList(in) && m.Members.Has(in.From.ID)
	kind := No
	if ok {
		kind = Yes
	}
	m.send(kind, in.From.ID, func(x *Message) {
		x.Round, x.For, x.Other, x.Left = in.Round, in.From.Start, other, left
	})
}

// sameList tells whether a candidate counts majorities of the list that this
// node knows. adopt was called before: ours is not the older.
func (m *Machine) sameList(in Message) bool { return in.Members.Equal(m.Members) }

// requested makes a promise, or says why not.
func (m *Machine) requested(now Instant, in Message) {
	if in.Owner && m.role == owning && in.Epoch > m.me.epoch {
		m.note("%s owns with a later epoch", in.From.ID)
		m.withdraw(now, now.Add(m.Timing.Lease))
	}
	other, left, ok := m.refusal(now, in.From, in.Epoch)
	if !ok || !m.sameList(in) || !m.Members.Has(in.From.ID) {
		m.send(Nack, in.From.ID, func(x *Message) {
			x.Round, x.For, x.Other, x.Left = in.Round, in.From.Start, other, left
		})
		return
	}
	granted := m.grant(now, in.From, in.Epoch, in.Lease)
	if in.Owner && in.Floor > m.Floor {
		m.Floor = in.Floor
		m.keep()
	}
	m.send(Ack, in.From.ID, func(x *Message) { x.Round, x.For, x.Lease = in.Round, in.From.Start, granted })
	if m.role == asking || m.role == requesting {
		m.withdraw(now, Never)
	}
	m.follow(now)
}

// grant makes the promise and returns how long it lasts.
func (m *Machine) grant(now Instant, to Holder, epoch uint64, lease time.Duration) time.Duration {
	lease = max(0, min(lease, m.Timing.longest()))
	until := now.Add(lease)
	if m.promise.lasts(now) && m.promise.to == to {
		until = max(until, m.promise.until)
	}
	m.promise = promise{to: to, epoch: epoch, until: until}
	m.seen = max(m.seen, epoch)
	return lease
}

// follow waits for the promise to end before it tries to own.
func (m *Machine) follow(now Instant) {
	if m.role == follower {
		m.tryAt = m.promise.until.Add(m.patience())
	}
}

// released takes a promise back that the holder says it does not count any
// more. A release of another start, or one that is older than the promise, is
// late and means nothing.
func (m *Machine) released(now Instant, in Message) {
	p := &m.promise
	if !p.lasts(now) || p.to != in.From || in.Epoch < p.epoch {
		return
	}
	*p = promise{}
	m.seen = max(m.seen, in.Epoch)
	if in.Heir != "" {
		p.wish, p.wishUntil = in.Heir, now.Add(m.Timing.Lease/2)
	}
	if m.role != follower {
		return
	}
	m.tryAt = now.Add(m.patience())
	switch in.Heir {
	case "":
	case m.Self:
		m.tryAt, m.heir = now, now.Add(m.Timing.Lease/2)
	default:
		m.tryAt = p.wishUntil.Add(m.patience())
	}
}
