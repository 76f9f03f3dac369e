package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// slot is a place for a machine: a node's name.
type slot struct {
	w    *World
	name string

	mu      sync.Mutex
	machine *machine
}

func (s *slot) put(m *machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine = m
}

func (s *slot) now() *machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine
}

// machine is one node: it outlives the agents that run on it.
type machine struct {
	w        *World
	name, id string // id is the machine's own, and never given again
	disk     iptest.Disk

	mu      sync.Mutex
	uid     string // of its Node object
	life    string
	n       int
	a       *ipam.Allocator
	stop    func()
	cutOff  bool
	gone    bool
	leaving bool // its Node object is gone
	units   int
	records map[string]bool          // attach's: true for a sandbox, false for a tombstone
	deleted map[string]bool          // sandboxes whose DEL was answered
	queue   map[string]chan struct{} // one call at a time for a sandbox
	suspect map[string]bool          // what looked abandoned at the last sweep
}

// newMachine makes a machine and its Node object, and starts its agent.
func newMachine(w *World, name string) *machine {
	m := &machine{w: w, name: name, units: w.Config.Nodes, records: map[string]bool{}, deleted: map[string]bool{}, queue: map[string]chan struct{}{}, suspect: map[string]bool{}}
	w.mu.Lock()
	m.id = fmt.Sprintf("%s-m%d", name, len(w.machines))
	w.machines[m.id] = m
	w.mu.Unlock()
	m.register()
	m.boot()
	return m
}

// register makes a Node object, with a UID that was never there.
func (m *machine) register() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uid = fmt.Sprintf("%s-uid-%d", m.id, m.n)
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.w.nodes[m.name] = m.uid
}

func (m *machine) nodeUID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uid
}

func (m *machine) agent() (*ipam.Allocator, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.a, m.life
}

func (m *machine) isCut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cutOff
}

func (m *machine) isGone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// boot starts an agent; the one before is dead.
func (m *machine) boot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	m.life = fmt.Sprintf("%s#%d", m.id, m.n)
	var store ipam.Store = m.w.Store.As(m.life)
	if m.w.Config.Store != nil {
		store = m.w.Config.Store(store, Seat{m.w, m.name, m.uid})
	}
	var log ipam.Log = frail{m.disk.Boot(), m, m.life}
	if m.w.Log != nil {
		log = m.w.Log(log)
	}
	a, err := ipam.New(ipam.Options{Node: m.name, NodeUID: m.uid, Store: store, Log: log, Nodes: m.units})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	running.Go(func() { m.sweep(ctx, a) })
	m.a, m.stop = a, func() { cancel(); running.Wait() }
}

// kill ends the agent between any two of its steps.
func (m *machine) kill() {
	m.mu.Lock()
	stop, life := m.stop, m.life
	m.stop = func() {}
	m.mu.Unlock()
	m.disk.Kill()
	m.w.die(life)
	stop()
}

// restart is what the kubelet does about an agent that died.
func (m *machine) restart() {
	m.kill()
	if !m.isGone() {
		m.boot()
	}
}

// reboot destroys all sandboxes and what the agent remembers of them.
func (m *machine) reboot() {
	m.kill()
	m.destroy()
	m.disk.Lose()
	m.boot()
}

// destroy ends all sandboxes.
func (m *machine) destroy() {
	m.w.mu.Lock()
	for id, s := range m.w.sandboxes {
		if s.on == m {
			delete(m.w.sandboxes, id)
		}
	}
	m.w.mu.Unlock()
	m.w.history.EndAll(func(u oracle.Use) bool { return u.Node == m.id })
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.records)
	clear(m.deleted)
	clear(m.suspect)
}

var errFull = errors.New("no space left on device")

// frail is a log that fails, and at which processes die.
type frail struct {
	*iptest.Log
	m    *machine
	life string
}

func (f frail) Put(key string, value []byte) error {
	return f.fail(key, func() error { return f.Log.Put(key, value) })
}

func (f frail) Delete(key string) error {
	return f.fail("-"+key, func() error { return f.Log.Delete(key) })
}

// fail is called with the allocator's lock held: it must not wait, nor take
// locks of those who call the allocator.
func (f frail) fail(what string, write func() error) error {
	w := f.m.w
	if w.isDead(f.life) {
		return iptest.ErrDead
	}
	if w.isOver() {
		return write()
	}
	switch n := w.under(1000, "log", f.life, what); {
	case n < 2:
		w.count("log crash before")
		w.die(f.life)
		return iptest.ErrDead
	case n < 4:
		w.count("log crash after")
		err := write()
		w.die(f.life)
		return errors.Join(iptest.ErrDead, err)
	case n < 12 || strings.HasPrefix(what, "-") && n < 16:
		w.count("log full")
		return errFull
	}
	return write()
}
