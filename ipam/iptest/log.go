package iptest

import (
	"errors"
	"maps"
	"sync"
)

// ErrDead is what a Log answers to a process that was killed.
var ErrDead = errors.New("this process is dead")

// Disk is what survives the crashes of one node.
type Disk struct {
	mu     sync.Mutex
	values map[string][]byte
	alive  *Log
}

// Boot gives the log to a new process; the one before can write no more.
func (d *Disk) Boot() *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.values == nil {
		d.values = map[string][]byte{}
	}
	d.alive = &Log{disk: d}
	return d.alive
}

// Kill takes the log from the process that has it.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alive = nil
}

// Take makes it the disk that another was, of a process that is dead.
func (d *Disk) Take(other *Disk) {
	other.mu.Lock()
	defer other.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.values = maps.Clone(other.values)
}

// Lose forgets everything, as a reboot does.
func (d *Disk) Lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.values)
}

// Log is ipam's Log in memory.
type Log struct{ disk *Disk }

// Put implements ipam.Log.
func (l *Log) Put(key string, value []byte) error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.disk.alive != l {
		return ErrDead
	}
	l.disk.values[key] = append([]byte(nil), value...)
	return nil
}

// Delete implements ipam.Log.
func (l *Log) Delete(key string) error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.disk.alive != l {
		return ErrDead
	}
	delete(l.disk.values, key)
	return nil
}

// All implements ipam.Log.
func (l *Log) All(visit func(key string, value []byte)) {
	l.disk.mu.Lock()
	values := maps.Clone(l.disk.values)
	l.disk.mu.Unlock()
	for key, value := range values {
		visit(key, value)
	}
}
