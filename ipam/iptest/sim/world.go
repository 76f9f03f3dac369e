package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// World is everything in a schedule.
type World struct {
	Config
	Store   *iptest.Store
	slots   []*slot
	history oracle.History

	mu        sync.Mutex
	machines  map[string]*machine // by identity
	dead      map[string]bool     // lives of agents
	sandboxes map[string]*sandbox // that exist, by container ID
	nodes     map[string]string   // UIDs of Node objects, by name
	pods      map[string]string   // UID of the node of a Pod object, by container ID
	wrong     []string
	away      time.Time // until when the API server is away
	slow      time.Time // until when it is slow
	over      bool      // no more faults
	trace     uint64
	counts    map[string]int
}

// sandbox is what an address is used by.
type sandbox struct {
	on *machine
}

// draw is chance as a function of the seed, the moment and what it is for, so
// that it does not depend on which goroutine comes first.
func (w *World) draw(what ...string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, w.Seed, time.Now().UnixNano(), what)
	return mixed(h.Sum64() ^ w.Seed*0x9e3779b97f4a7c15)
}

// mixed is the end of splitmix64: the low bits of FNV are not chance enough.
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (w *World) under(n int, what ...string) int { return int(w.draw(what...) % uint64(n)) }

// pause is a time below most, at least a nanosecond, so that two things seldom
// happen at one moment.
func (w *World) pause(most time.Duration, what ...string) time.Duration {
	return 1 + time.Duration(w.draw(what...)%uint64(most))
}

// complain notes something that is wrong by itself.
func (w *World) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *World) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// note adds a step to the trace. The sum does not depend on the order of what
// happens at one moment.
func (w *World) note(what string) {
	h := fnv.New64a()
	fmt.Fprint(h, time.Now().UnixNano(), what)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace += mixed(h.Sum64())
}

func (w *World) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over || w.Calm
}

func (w *World) calm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

func (w *World) isDead(life string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead[life]
}

func (w *World) die(life string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[life] = true
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
