package lease

import (
	"fmt"
	"slices"
)

// adopt takes over a newer list. It is kept before anything is answered, so
// that the answer may be counted on after a restart.
func (m *Machine) adopt(list Members) {
	newer := list.Version.Compare(m.Members.Version) > 0
	if len(list.In) == 0 || !newer && len(m.Members.In) > 0 {
		return
	}
	m.Members = list
	m.seen = max(m.seen, list.Version.Epoch)
	switch {
	case list.Has(m.Self):
		m.joining = false
	case !m.known:
		// It was taken off while it was away. A node that is taken off while it
		// runs stays out until it starts again.
		m.joining = true
		m.meet(list)
	}
	m.keep()
}

// meet adds members to those who may take this node in.
func (m *Machine) meet(list Members) {
	for _, id := range list.All() {
		if id != m.Self && !slices.Contains(m.Contacts, id) {
			m.Contacts = append(m.Contacts, id)
		}
	}
}

func (m *Machine) keep() {
	kept := m.Kept
	m.out.Keep = &kept
}

// Change makes the owner take nodes in and leave nodes out, one change at a
// time. It is done when the list of Status says so.
func (m *Machine) Change(now Instant, add, remove []ID) (Output, error) {
	m.begin(now)
	err := m.propose(add, remove)
	m.due(now)
	return m.end(now), err
}

func (m *Machine) propose(add, remove []ID) error {
	switch {
	case m.role != owning:
		return fmt.Errorf("change members: only the owner can, which is %s", orNobody(m.promise.to.ID))
	case len(m.Members.Out) > 0 || m.change != nil:
		return fmt.Errorf("change members: a change is under way (%s)", m.Members)
	}
	next := slices.Concat(m.Members.In, add)
	next = slices.DeleteFunc(next, func(id ID) bool { return slices.Contains(remove, id) })
	slices.Sort(next)
	next = slices.Compact(next)
	if len(next) == 0 || slices.Contains(next, "") {
		return fmt.Errorf("change members %s: nobody would be left, or a name is empty", m.Members)
	}
	if slices.Equal(next, m.Members.In) {
		return nil
	}
	m.change, m.me.again = next, 0
	return nil
}

func orNobody(id ID) ID {
	if id == "" {
		return "nobody"
	}
	return id
}

// advance brings a change on: first the joint list, then, when majorities of
// both have it, the new one alone. Majorities are counted anew under each list.
func (m *Machine) advance(now Instant) {
	if len(m.Members.Out) > 0 || m.change != nil {
		if m.Floor < m.me.epoch {
			m.Floor = m.me.epoch
			m.keep()
		}
		if !m.settled() {
			return
		}
		next := Members{In: m.Members.In}
		if len(m.Members.Out) == 0 {
			next, m.change = Members{In: m.change, Out: m.Members.In}, nil
		}
		m.install(next)
		return
	}
	if !m.Members.Has(m.Self) && m.settled() {
		m.note("left the members: %s", m.Members)
		m.letGo(now, "")
		m.tryAt = Never
	}
}

// settled tells whether a majority has this owner's list, and has kept its
// epoch: a later owner cannot win without one of them, so it knows the list and
// makes its own lists under a higher epoch.
func (m *Machine) settled() bool {
	_, ok := m.Members.agreed(func(id ID) (Instant, bool) {
		p := m.peers[id]
		return 0, id == m.Self || p.list == m.Members.Version && p.floor >= m.Floor
	})
	return ok
}

// install makes a list of this owner's the valid one. What it owns it owns by
// the majorities of the list before; a longer lease needs those of the new one.
func (m *Machine) install(list Members) {
	list.Version = Version{Epoch: m.Floor, Count: m.Members.Version.Count + 1}
	m.note("members: %s", list)
	m.Members = list
	m.keep()
}

// hello asks to be taken in.
func (m *Machine) hello(now Instant) {
	m.helloAt = now.Add(m.Timing.Lease)
	for _, id := range m.Contacts {
		m.send(Hello, id, nil)
	}
}

// greeted takes a node in that asks for it.
func (m *Machine) greeted(now Instant, in Message) {
	if !m.Admit || m.role != owning || m.Members.Has(in.From.ID) || len(m.Members.Out) > 0 || m.change != nil {
		return
	}
	if err := m.propose([]ID{in.From.ID}, nil); err == nil {
		m.note("takes %s in", in.From.ID)
		m.lead(now)
	}
}
