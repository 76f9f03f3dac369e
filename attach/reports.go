package attach

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Statuses writes the network-status of Pods.
type Statuses interface {
	// Report writes it; the error is ErrNotFound when the Pod is gone, or another one.
	Report(ctx context.Context, pod Pod, status string) error
}

// mostReports bounds the requests that are under way at the same time: nobody waits for them, while ADDs that need an address may wait for
// the same API server.
const mostReports = 3

// reports tell the API what Pods were attached to, beside the calls, and go on trying while the API server is away.
type reports struct {
	server *Server
	slots  chan struct{}
	ctx    context.Context
	stop   context.CancelFunc

	mu      sync.Mutex
	pending map[string]context.CancelFunc
}

func newReports(s *Server) *reports {
	ctx, stop := context.WithCancel(context.Background())
	return &reports{server: s, slots: make(chan struct{}, mostReports), ctx: ctx, stop: stop, pending: map[string]context.CancelFunc{}}
}

// add tells of a sandbox that is wired. It does not wait.
func (r *reports) add(record Record) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.pending[record.ContainerID]; before != nil {
		before()
	}
	r.pending[record.ContainerID] = cancel
	go func() {
		defer cancel()
		r.run(ctx, record)
	}()
}

// drop stops telling of a sandbox.
func (r *reports) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.pending[id]; cancel != nil {
		cancel()
		delete(r.pending, id)
	}
}

// waiting counts the Pods whose network-status is not written yet.
func (r *reports) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}

func (r *reports) run(ctx context.Context, record Record) {
	s := r.server
	status, err := statusOf(record)
	if err != nil {
		s.Log.Error("network-status", "pod", record.pod().String(), "err", err)
		return
	}
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 30*time.Second) {
		err := r.once(ctx, record, status)
		if err == nil || errors.Is(err, ErrNotFound) {
			r.done(ctx, record)
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn("the network-status is written later", "pod", record.pod().String(), "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (r *reports) once(ctx context.Context, record Record, status string) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	began := time.Now()
	err := r.server.Statuses.Report(ctx, record.pod(), status)
	r.server.stage("ADD", "status", began)
	return err
}

// done notes that the status need not be written again after a restart, unless the sandbox has changed meanwhile.
func (r *reports) done(ctx context.Context, record Record) {
	s := r.server
	if !record.Announced {
		for _, w := range record.Interfaces[1:] {
			s.Events.Note(record.pod(), ReasonAdded, addedNote(w))
		}
	}
	release, err := s.sandboxes.take(ctx, record.ContainerID)
	if err != nil {
		return
	}
	defer release()
	r.mu.Lock()
	delete(r.pending, record.ContainerID)
	r.mu.Unlock()
	if now, ok := s.records.get(record.ContainerID); ok && now.State == Wired && now.Since.Equal(record.Since) {
		now.Reported, now.Announced = true, true
		if err := s.records.put(now); err != nil {
			s.Log.Warn("network-status", "pod", record.pod().String(), "err", err)
		}
	}
}
