package record

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/planted"
)

const step = 20 * time.Millisecond

// server has the record.
type server struct {
	record  Record
	version int
}

// apply reads, or writes if the version is the one that is there.
func (s *server) apply(w *Record) Answer {
	if w == nil {
		return Answer{Record: s.record}
	}
	if w.Version != s.record.Version {
		return Answer{Stale: true}
	}
	s.version++
	s.record = *w
	s.record.Version = strconv.Itoa(s.version)
	if w.Acquired.IsZero() && w.Holder != "" {
		s.record.Acquired = time.Unix(int64(s.version), 0)
	}
	return Answer{Record: s.record}
}

// question is on its way: it takes effect at applied, and is answered at answered, or given up.
type question struct {
	write             *Record
	applied, answered time.Duration
	lost              bool // on its way there
	answer            *Answer
}

// member is a node whose clock goes faster or slower, and that stands still for a while.
type member struct {
	*Machine
	rate   float64
	offset time.Duration
	still  time.Duration // until
	next   lease.Instant
	until  lease.Instant // the fence's
	asks   []*question
	dead   bool
}

func (m *member) clock(t time.Duration) lease.Instant {
	return lease.Instant(m.offset + time.Duration(float64(t)*m.rate))
}

// world is a schedule.
type world struct {
	*rand.Rand
	server  server
	members []*member
	now     time.Duration
	calm    bool
	// duration and retry are the members'; namesakes has two of one name.
	duration, retry time.Duration
	namesakes       bool
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), duration: 2 * time.Second, retry: 400 * time.Millisecond, namesakes: seed%7 == 0}
	if seed%10 == 0 { // the clocks' speeds matter
		w.duration, w.retry = 10*time.Second, 60*time.Millisecond
	}
	for i := range 3 {
		m := &member{rate: 0.992 + 0.016*w.Float64(), offset: time.Duration(1+w.IntN(1000)) * time.Second}
		w.members = append(w.members, m)
		w.start(i)
	}
	return w
}

// span is for how long there is trouble.
func (w *world) span() time.Duration { return max(40*time.Second, 10*w.duration) }

// start is a new process on a node: the fence is closed first.
func (w *world) start(i int) {
	m := w.members[i]
	name := fmt.Sprintf("n%d", i)
	if w.namesakes && i == 1 {
		name = "n0"
	}
	m.Machine, _ = New(Config{Self: name, Duration: w.duration, Retry: w.retry}, m.clock(w.now))
	m.until, m.dead, m.next = 0, false, 0
	for _, q := range m.asks {
		q.answer, q.answered = nil, 1<<60 // nobody waits for it
	}
	w.do(m, m.SetReady(m.clock(w.now), true))
}

func (w *world) do(m *member, o Output) {
	m.until, m.next = o.Until, o.Next
	if !o.Read && o.Write == nil {
		return
	}
	q := &question{write: o.Write}
	delay := func() time.Duration {
		if w.calm || w.IntN(4) > 0 {
			return time.Duration(w.IntN(40)) * time.Millisecond
		}
		return time.Duration(w.IntN(3000)) * time.Millisecond
	}
	q.lost = !w.calm && w.IntN(10) == 0
	q.applied = w.now + delay()
	q.answered = q.applied + delay()
	if !w.calm && w.IntN(10) == 0 {
		q.answered += time.Hour // the answer is lost
	}
	if limit := w.now + w.retry; q.answered > limit {
		q.answered = limit
	}
	m.asks = append(m.asks, q)
}

// advance is one step; it tells who owns by the fences.
func (w *world) advance() (owners []int) {
	w.now += step
	for i, m := range w.members {
		for k := 0; k < len(m.asks); k++ {
			q := m.asks[k]
			if q.answer == nil && w.now >= q.applied && !q.lost {
				a := w.server.apply(q.write)
				q.answer, q.lost = &a, true // once
			}
			if w.now < q.answered || w.now < m.still || m.dead {
				continue
			}
			m.asks = append(m.asks[:k:k], m.asks[k+1:]...)
			k--
			a := Answer{Err: errors.New("no answer")}
			switch {
			case q.answered > 1<<50:
				continue
			case q.answer != nil:
				a = *q.answer
			case !q.lost: // it still comes to pass, and nobody hears of it
				late := *q
				late.answered = 1 << 60
				m.asks = append(m.asks, &late)
			}
			w.do(m, m.Answer(m.clock(w.now), a))
		}
		if now := m.clock(w.now); !m.dead && w.now >= m.still && now >= m.next {
			w.do(m, m.Tick(now))
		}
		if m.clock(w.now) < m.until {
			owners = append(owners, i)
		}
	}
	return owners
}

// trouble is what happens now and then.
func (w *world) trouble() {
	i := w.IntN(len(w.members))
	m := w.members[i]
	often := 400
	if w.duration > 2*time.Second {
		often = 4000
	}
	switch w.IntN(often) {
	case 0, 1:
		m.still = w.now + time.Duration(w.IntN(6000))*time.Millisecond
	case 2:
		if !m.dead {
			w.do(m, m.SetReady(m.clock(w.now), w.IntN(2) == 0))
		}
	case 3:
		if !m.dead {
			w.do(m, m.LetGo(m.clock(w.now), time.Second))
		}
	case 4:
		m.dead = true
	case 5:
		w.start(i)
	case 6:
		if w.IntN(4) == 0 {
			w.server.record = Record{} // kubectl delete
		}
	}
}

func schedules() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("TSUNAGU_SCHEDULES"), 10, 64); err == nil {
		return n
	}
	return 2000
}

// Never do two fences let two nodes answer; and when all is well again, one of them owns.
func TestNeverTwoHolders(t *testing.T) {
	owned, whole := 0, 0
	for seed := range schedules() {
		w := newWorld(seed)
		whole += int(w.span() / step)
		for range int(w.span() / step) {
			w.trouble()
			owners := w.advance()
			if len(owners) > 1 {
				t.Fatalf("schedule %d: nodes %v own at %s", seed, owners, w.now)
			}
			owned += len(owners)
		}
		w.calm = true
		for i := range w.members {
			w.members[i].still = 0
			w.start(i)
		}
		one := 0
		for range int(5 * w.duration / step) {
			owners := w.advance()
			if len(owners) > 1 {
				t.Fatalf("schedule %d: nodes %v own at %s", seed, owners, w.now)
			}
			one = len(owners)
		}
		if one != 1 {
			t.Fatalf("schedule %d: all is well and nobody owns: %+v", seed, w.server.record)
		}
	}
	share := float64(owned) / float64(whole)
	t.Logf("somebody owns %.0f %% of the time", 100*share)
	if share < 0.4 {
		t.Errorf("somebody owns %.0f %% of the time: too careful", 100*share)
	}
}

// bugs are what the schedules must find.
var bugs = []planted.Bug{
	{Name: "owns from the answer on", File: "machine.go", Change: []string{"m.took(at, wrote)", "_ = at; m.took(now, wrote)"}},
	{Name: "no guard against clocks of another speed", File: "machine.go", Change: []string{"m.Duration - m.Duration/drift", "m.Duration"}},
	{Name: "a record that was removed is free at once", File: "machine.go", Change: []string{"case m.seen.Holder == \"\" && !m.seen.Acquired.IsZero():", "case m.seen.Holder == \"\":"}},
	{Name: "lets go in words only", File: "machine.go", Change: []string{"m.until, m.rest = 0, now.Add(rest)", "m.rest = now.Add(rest)"}},
	{Name: "takes a record of its name that it has not written", File: "machine.go", Change: []string{"case m.seen.Holder == m.Self && (m.own || m.Owner(now)):", "case m.seen.Holder == m.Self:"}},
	{Name: "waits from the former look", File: "machine.go", Change: []string{"if first || r.Version != m.seen.Version {", "if first {"}},
}

func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			if _, found := bug.Run(t, "TestNeverTwoHolders", "TSUNAGU_SCHEDULES=20000"); !found {
				t.Fatal("no schedule finds it")
			}
		})
	}
}
