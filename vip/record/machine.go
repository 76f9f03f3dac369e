package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// Config of a Machine.
type Config struct {
	// Self is this node's name in the record.
	Self string
	// Duration is for how long others wait for this node after its last write, and so for how long nobody answers when it dies. Whole seconds.
	Duration time.Duration
	// Retry is the time between two questions.
	Retry time.Duration
}

// Check says what would not work.
func (c Config) Check() error {
	switch {
	case c.Self == "":
		return errors.New("this node has no name")
	case c.Duration < time.Second || c.Duration%time.Second != 0:
		return fmt.Errorf("duration %s is none: a Lease has whole seconds, from 1", c.Duration)
	case c.Retry <= 0 || c.Retry > c.Duration/3:
		return fmt.Errorf("every %s is too seldom for a duration of %s: a third of it at most, so that a question may be lost", c.Retry, c.Duration)
	}
	return nil
}

// drift is by how much of a duration two nodes' clocks may differ in speed.
const drift = 50

// Machine is one node. It is not safe for concurrent use. Every method takes the time and returns what to do now.
type Machine struct {
	Config
	known   bool
	seen    Record
	seenAt  lease.Instant // when seen was another, by this node's clock
	asked   bool          // a question has no answer yet
	askedAt lease.Instant
	writing *Record
	next    lease.Instant // of the next question
	until   lease.Instant // owns until
	ready   bool
	own     bool // seen is what this node has written
	letting bool // lets go: the record is to say so
	rest    lease.Instant
	failed  string
}

// Output is what to do now.
type Output struct {
	// Until is the fence's deadline; what has passed is none.
	Until lease.Instant
	// Read and Write are questions to ask, after the fence was told; one of them at most. Answer is to be called once for each.
	Read  bool
	Write *Record
	// Next is when Tick is to be called at the latest.
	Next  lease.Instant
	Notes []string
}

// New begins as nobody.
func New(c Config, now lease.Instant) (*Machine, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return &Machine{Config: c, next: now}, nil
}

// Owner tells whether this node owns.
func (m *Machine) Owner(now lease.Instant) bool { return now < m.until }

// Holder is who has the record as far as this node knows, "" for nobody.
func (m *Machine) Holder() string { return m.seen.Holder }

// Transitions is the record's.
func (m *Machine) Transitions() int { return m.seen.Transitions }

// SetReady says whether this node would serve well: one that would not lets go, and takes nothing.
func (m *Machine) SetReady(now lease.Instant, ready bool) Output {
	m.ready = ready
	if !ready {
		return m.LetGo(now, 0)
	}
	return m.Tick(now)
}

// LetGo stops owning at once, says so in the record, and takes nothing for a while.
func (m *Machine) LetGo(now lease.Instant, rest time.Duration) Output {
	m.letting = m.letting || m.own || m.writing != nil && m.writing.Holder == m.Self
	m.until, m.rest = 0, now.Add(rest)
	if m.letting {
		m.next = now
	}
	return m.Tick(now)
}

// Gone tells whether the record is let go, and nothing is asked any more: the end of LetGo.
func (m *Machine) Gone() bool { return !m.letting && !m.asked }

// Tick asks what is to be asked.
func (m *Machine) Tick(now lease.Instant) Output {
	o := Output{}
	if !m.asked && now >= m.next {
		m.asked, m.askedAt = true, now
		m.next = now.Add(m.Retry)
		if m.writing = m.wish(now); m.writing != nil {
			w := *m.writing
			o.Write = &w
		} else {
			o.Read = true
		}
	}
	o.Until, o.Next = m.until, m.next
	if m.Owner(now) {
		o.Next = min(o.Next, m.until)
	}
	if m.asked { // the answer comes first, or its own end
		o.Next = now.Add(m.Retry)
		if m.Owner(now) {
			o.Next = min(o.Next, m.until)
		}
	}
	return o
}

// wish is what this node would write now, nil for nothing: then it reads.
func (m *Machine) wish(now lease.Instant) *Record {
	if !m.known {
		return nil
	}
	w := m.seen
	w.Renewed = time.Time{}
	switch {
	case m.letting && m.own:
		w.Holder, w.Duration = "", time.Second
		return &w
	case m.letting || !m.ready || now < m.rest:
		return nil
	case m.seen.Holder == m.Self && (m.own || m.Owner(now)):
		// A record of this name that another process has written is waited for as anybody's: two nodes may have one name.
		w.Duration = m.Duration
		return &w
	case m.seen.Version == "" && m.Owner(now): // somebody has removed it
		return &Record{Holder: m.Self, Duration: m.Duration}
	case m.seen.Version == "":
		// Its holder may not know yet that it is gone: one that nobody has is written, and waited for as for a holder.
		return &Record{Duration: m.Duration}
	case m.seen.Holder == "" && !m.seen.Acquired.IsZero(): // let go
	case now < m.seenAt.Add(max(m.seen.Duration, time.Second)):
		return nil
	}
	if !m.seen.Acquired.IsZero() {
		w.Transitions++
	}
	w.Holder, w.Duration, w.Acquired = m.Self, m.Duration, time.Time{}
	return &w
}

// Answer hears what came of the question.
func (m *Machine) Answer(now lease.Instant, a Answer) Output {
	wrote, at := m.writing, m.askedAt
	m.asked, m.writing = false, nil
	var notes []string
	switch {
	case a.Stale:
		m.known, m.next = false, now // read what the other has written
	case a.Err != nil:
		// It may be written or not: the record is read before anything else is written, unless this node has it.
		if text := a.Err.Error(); text != m.failed {
			m.failed = text
			notes = append(notes, "the record: "+text)
		}
		if wrote == nil || wrote.Holder != m.Self || !m.Owner(now) {
			m.known = false
		}
	default:
		if m.failed != "" {
			m.failed = ""
			notes = append(notes, "the record: works again")
		}
		notes = append(notes, m.see(now, a.Record)...)
		m.took(at, wrote)
	}
	o := m.Tick(now)
	o.Notes = append(notes, o.Notes...)
	return o
}

// took is after a question that was answered.
func (m *Machine) took(at lease.Instant, wrote *Record) {
	switch {
	case wrote == nil:
		if m.letting = m.letting && m.own; m.wish(at) != nil { // the record may be taken as it is
			m.next = at
		}
	case wrote.Holder == m.Self:
		if m.own = true; !m.letting {
			m.until = at.Add(m.Duration - m.Duration/drift)
		}
	default:
		m.own, m.letting = false, false
	}
	if m.letting {
		m.next = at
	}
}

// see compares the record with what was there.
func (m *Machine) see(now lease.Instant, r Record) (notes []string) {
	first := m.seenAt == 0
	if first || r.Version != m.seen.Version {
		m.seenAt = now
	}
	if r.Holder != m.seen.Holder || first {
		switch r.Holder {
		case "":
			notes = append(notes, "nobody has the record")
		case m.Self:
		default:
			notes = append(notes, r.Holder+" has the record")
		}
	}
	if r.Version != m.seen.Version {
		m.own = false
	}
	if m.known, m.seen = true, r; r.Holder != m.Self && r.Version != "" {
		m.until = 0
	}
	return notes
}
