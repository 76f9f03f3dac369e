package lease

import (
	"fmt"
	"slices"
)

// lead renews the lease and looks after what only the owner does.
func (m *Machine) lead(now Instant) {
	if now < m.me.again {
		return
	}
	m.advance(now)
	if m.role != owning {
		return
	}
	if heir := m.betterOwner(now); heir != "" {
		m.note("%s serves better", heir)
		m.handOver(now, heir)
		return
	}
	m.beat(now, m.Timing.Beat)
	m.win(now)
}

// betterOwner is whom the ownership should move to, if it should move.
func (m *Machine) betterOwner(now Instant) ID {
	if m.Health.Ready && !m.Preempt && m.mayOwn() {
		return ""
	}
	best, health := ID(""), m.Health
	if !m.mayOwn() {
		health = Health{}
	}
	for _, id := range m.Members.All() {
		p := m.peers[id]
		if id != m.Self && m.fresh(now, id) && p.health.better(health) {
			best, health = id, p.health
		}
	}
	return best
}

// fresh tells whether a node was heard of lately.
func (m *Machine) fresh(now Instant, id ID) bool {
	p, ok := m.peers[id]
	return ok && now.Sub(p.heard) < 2*m.Timing.Beat
}

// Handover gives the ownership to another node; "" means the one that would
// serve best. The lease that comes back is not held any more, before anybody
// else hears of it.
func (m *Machine) Handover(now Instant, to ID) (Output, error) {
	m.begin(now)
	if m.role != owning {
		return m.end(now), fmt.Errorf("hand over: this node does not own")
	}
	if to == "" {
		for _, id := range m.Members.All() {
			if id != m.Self && m.fresh(now, id) && (to == "" || m.peers[id].health.better(m.peers[to].health)) {
				to = id
			}
		}
	}
	switch {
	case to == "" || to == m.Self || !slices.Contains(m.Members.In, to):
		return m.end(now), fmt.Errorf("hand over to %q: it is no other member (members: %s)", to, m.Members)
	case !m.fresh(now, to):
		return m.end(now), fmt.Errorf("hand over to %s: it does not answer", to)
	case m.peers[to].health.Weight == 0:
		return m.end(now), fmt.Errorf("hand over to %s: it is a witness and never owns", to)
	}
	m.handOver(now, to)
	return m.end(now), nil
}

func (m *Machine) handOver(now Instant, to ID) {
	m.note("hands over to %s", to)
	m.letGo(now, to)
	m.tryAt = now.Add(m.Timing.Lease + m.patience())
}

// Stop lets go at once, for a process that ends on purpose. Call nothing after
// it.
func (m *Machine) Stop(now Instant) Output {
	m.begin(now)
	if m.role == owning {
		heir := ID("")
		for _, id := range m.Members.In {
			if id != m.Self && m.fresh(now, id) && m.peers[id].health.Weight > 0 && (heir == "" || m.peers[id].health.better(m.peers[heir].health)) {
				heir = id
			}
		}
		m.letGo(now, heir)
	} else {
		m.withdraw(now, Never)
	}
	m.tryAt = Never
	return m.end(now)
}
