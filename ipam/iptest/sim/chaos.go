package sim

import (
	"fmt"
	"sync"
	"time"
)

// chaos breaks something every now and then, until the Pods are done. Agents
// that died at a step come back in any case.
func (w *World) chaos(finished <-chan struct{}) {
	var replaced sync.WaitGroup
	defer replaced.Wait()
	replaced.Go(func() { w.supervise(finished) })
	for n := 0; ; n++ {
		select {
		case <-finished:
			return
		case <-time.After(w.pause(2*time.Second, "chaos")):
		}
		if w.isOver() {
			continue
		}
		s := w.slots[w.under(len(w.slots), "whom")]
		m := s.now()
		lot := w.under(100, "what")
		if w.Lossy && lot < 50 {
			lot = 59 + lot%13
		}
		switch {
		case w.Unsettled && lot < 40, lot < 8:
			a, _ := m.agent()
			a.SetNodes(1 + w.under(64, "nodes"))
		case lot < 47:
			w.count("agent killed")
			m.restart()
		case lot < 53:
			w.count("machine rebooted")
			if !m.isGone() {
				m.reboot()
			}
		case lot < 55:
			w.spell("API away", &w.away, 15*time.Second)
		case lot < 59:
			w.spell("API slow", &w.slow, 8*time.Second)
		case lot < 66:
			replaced.Go(func() { w.replace(s, m, n) })
		case lot < 72:
			replaced.Go(func() { w.reregister(m, n) })
		}
	}
}

// spell sets until when something is bad.
func (w *World) spell(what string, until *time.Time, most time.Duration) {
	w.count(what)
	w.mu.Lock()
	defer w.mu.Unlock()
	*until = time.Now().Add(w.pause(most, what))
}

// supervise restarts agents that died by themselves.
func (w *World) supervise(finished <-chan struct{}) {
	for {
		select {
		case <-finished:
			return
		case <-time.After(500*time.Millisecond + w.pause(time.Second, "supervise")):
		}
		for _, s := range w.slots {
			m := s.now()
			if _, life := m.agent(); w.isDead(life) && !m.isGone() {
				m.restart()
			}
		}
	}
}

// begin tells whether nothing is done to the machine's Node object yet.
func (m *machine) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || m.leaving {
		return false
	}
	m.leaving = true
	return true
}

// replace deletes a node, and puts another machine in its place under its name,
// perhaps before the old one has stopped. The old one stops within the
// quarantine; until then its Pods run, cut off or not.
func (w *World) replace(s *slot, m *machine, n int) {
	if !m.begin() {
		return
	}
	w.count("machine replaced")
	salt := fmt.Sprint(n)
	m.mu.Lock()
	m.cutOff = w.under(2, "partition", salt) == 0
	uid := m.uid
	m.mu.Unlock()
	w.mu.Lock()
	delete(w.nodes, m.name)
	w.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		time.Sleep(w.pause(20*time.Second, "stops", salt))
		m.mu.Lock()
		m.gone = true
		m.mu.Unlock()
		m.kill()
		m.destroy()
	})
	both.Go(func() {
		time.Sleep(w.pause(5*time.Second, "evicted", salt))
		w.mu.Lock()
		for id, on := range w.pods {
			if on == uid {
				delete(w.pods, id)
			}
		}
		w.mu.Unlock()
	})
	time.Sleep(w.pause(10*time.Second, "successor", salt))
	s.put(newMachine(w, s.name))
	both.Wait()
}

// reregister deletes a node by mistake: the machine and its Pods go on, and it
// comes back under its name with another UID. Its agent starts anew then, and
// has the log.
func (w *World) reregister(m *machine, n int) {
	if !m.begin() {
		return
	}
	w.count("node registered anew")
	salt := fmt.Sprint(n)
	w.mu.Lock()
	delete(w.nodes, m.name)
	w.mu.Unlock()
	time.Sleep(w.pause(60*time.Second, "anew", salt))
	m.kill()
	m.register()
	m.boot()
	m.mu.Lock()
	m.leaving = false
	m.mu.Unlock()
}
