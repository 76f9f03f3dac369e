package attach

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// LiveMark with the value "live", as a label of a namespace, permits the annotations of its Pods to change the networks of Pods that run.
const (
	LiveMark  = "tsunagu.dev/network-changes"
	LiveValue = "live"
)

// Wishes are what the Pods of this node ask for now.
type Wishes interface {
	// Here lists the Pods that are to stay; false while not all of them are known, or not which namespaces have LiveMark.
	Here() ([]Pod, bool)
	// Live tells whether a namespace has LiveMark.
	Live(namespace string) bool
	// Changed gives channels that are closed at the next change of either. Take them before reading.
	Changed() (pods, namespaces <-chan struct{})
}

const (
	// collect is how long edits are collected, because several are often made at once.
	collect = 50 * time.Millisecond
	// firstRetry and lastRetry are the pauses between attempts at what was refused.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

var (
	// errSuperseded ends an exchange because the annotation was edited again, errEnding because the agent ends.
	errSuperseded = errors.New("the annotation was edited again")
	errEnding     = errors.New("the agent ends")
)

// live brings the interfaces of running Pods to what their annotations say, each sandbox for itself.
type live struct {
	server *Server
	tasks  sync.WaitGroup
	nudged chan struct{}

	mu    sync.Mutex
	tries map[string]*try // by sandbox
}

// try is what becomes of one annotation of one sandbox.
type try struct {
	text   string
	permit bool
	// cancel ends it; nil when it is over.
	cancel context.CancelCauseFunc
	// again is when it is tried again; zero for never.
	again time.Time
	pause time.Duration
}

func newLive(s *Server) *live {
	return &live{server: s, nudged: make(chan struct{}, 1), tries: map[string]*try{}}
}

// Live follows the annotations of running Pods until the context ends, which is not an error.
func (s *Server) Live(ctx context.Context) error {
	if s.Wishes == nil {
		return nil
	}
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer s.live.tasks.Wait()
	defer end(errEnding)
	for {
		pods, namespaces := s.Wishes.Changed()
		next := s.live.look(work)
		timer := time.NewTimer(next)
		select {
		case <-pods:
		case <-namespaces:
		case <-s.live.nudged:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
		select {
		case <-time.After(collect):
		case <-ctx.Done():
			return nil
		}
	}
}

// look starts what is to be done, and gives when to look again at the latest.
func (l *live) look(ctx context.Context) time.Duration {
	s := l.server
	pods, known := s.Wishes.Here()
	if !known {
		return lastRetry
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next, seen := lastRetry, map[string]bool{}
	current := s.records.running()
	for _, pod := range pods {
		record, ok := current[pod.UID]
		if !ok {
			continue
		}
		seen[record.ContainerID] = true
		if wait := l.follow(ctx, record, pod); wait < next {
			next = max(wait, 0)
		}
	}
	for id, t := range l.tries {
		if !seen[id] && t.cancel == nil {
			delete(l.tries, id)
		}
	}
	return next
}

// running are the sandboxes that are wired, by the UID of their Pod; of several the newest.
func (r *records) running() map[string]Record {
	all := map[string]Record{}
	for _, record := range r.list() { // oldest first
		if record.State == Wired && record.UID != "" && len(record.Interfaces) > 0 {
			all[record.UID] = record
		}
	}
	return all
}

// follow starts an attempt at a sandbox if it needs one, and gives when to look at it again.
func (l *live) follow(ctx context.Context, record Record, pod Pod) time.Duration {
	t := l.tries[record.ContainerID]
	permit := l.server.Wishes.Live(pod.Namespace)
	settled := record.Annotation != nil && *record.Annotation == pod.Networks && record.Change == nil && !record.Amiss
	switch {
	case t != nil && t.cancel != nil:
		if t.text != pod.Networks {
			t.cancel(errSuperseded)
		}
		return lastRetry // its end nudges
	case settled:
		delete(l.tries, record.ContainerID)
		return lastRetry
	case t != nil && t.text == pod.Networks && t.permit == permit:
		if t.again.IsZero() {
			return lastRetry
		}
		if wait := time.Until(t.again); wait > 0 {
			return wait
		}
	default:
		t = &try{text: pod.Networks, permit: permit, pause: firstRetry}
		l.tries[record.ContainerID] = t
	}
	one, cancel := context.WithCancelCause(ctx)
	t.cancel = cancel
	l.tasks.Go(func() {
		retry := l.server.follow(one, cancel, record.ContainerID, pod, permit)
		cancel(nil)
		l.mu.Lock()
		t.cancel, t.again = nil, time.Time{}
		if retry {
			t.again = time.Now().Add(t.pause)
			t.pause = min(2*t.pause, lastRetry)
		}
		l.mu.Unlock()
		select {
		case l.nudged <- struct{}{}:
		default:
		}
	})
	return lastRetry
}

// follow gives one sandbox what its Pod's annotation says. It tells whether to try again later.
func (s *Server) follow(ctx context.Context, cancel context.CancelCauseFunc, id string, pod Pod, permit bool) (retry bool) {
	began := time.Now()
	release, err := s.sandboxes.take(ctx, id)
	if err != nil {
		return false
	}
	defer release()
	s.sandboxes.interruptible(id, cancel)
	defer s.sandboxes.interruptible(id, nil)
	record, ok := s.records.get(id)
	if !ok || record.State != Wired || record.UID != pod.UID {
		return false // it goes
	}
	bounded, stop := context.WithTimeout(ctx, longestCall)
	defer stop()
	outcome, err := s.conform(bounded, record, pod, permit)
	if outcome != "" {
		s.Meter.Verb("CHANGE", outcome, time.Since(began))
	}
	if err == nil {
		return false
	}
	cause := context.Cause(ctx)
	s.Log.Warn("a running Pod does not have the networks of its annotation yet", "pod", pod.String(), "container", id, "err", err, "cause", cause)
	return cause == nil || errors.Is(cause, context.DeadlineExceeded)
}

// conform is follow for who has the sandbox. Outcome is for the Meter, "" for nothing done.
func (s *Server) conform(ctx context.Context, record Record, pod Pod, permit bool) (outcome string, err error) {
	permit = permit || record.Amiss // what is to be mended was permitted
	if record.Change != nil {
		if record, err = s.settleChange(ctx, record); err != nil {
			return "AttachFailed", err
		}
		permit = permit || record.Amiss
	}
	want, err := s.planner.everyPod.of(pod)
	var d difference
	if err == nil {
		if record.Annotation == nil {
			record.Asked = record.adopt(want)
		}
		if d = compare(record.Asked, want); d.none() {
			record.Annotation, record.Told, record.Amiss = &pod.Networks, "", false
			return "", s.records.put(record)
		}
	}
	if !permit {
		return "", s.tellOff(record, pod)
	}
	if err == nil {
		err = s.ready(ctx)
	}
	if err == nil {
		_, err = s.exchange(ctx, record, pod, d)
	}
	if err == nil {
		return "ok", nil
	}
	refusal := refused(err)
	if ctx.Err() == nil {
		s.Events.Warn(pod, refusal.Reason, refusal.note())
	}
	return refusal.Reason, err
}

// tellOff says once why an edit of the annotation changes nothing.
func (s *Server) tellOff(record Record, pod Pod) error {
	sum := sha256.Sum256([]byte(pod.Networks))
	if told := hex.EncodeToString(sum[:8]); record.Told != told {
		record.Told = told
		if err := s.records.put(record); err != nil {
			return err
		}
		s.Events.Warn(pod, ReasonChangeOff, fmt.Sprintf("annotation %s was edited while the Pod runs, and namespace %s does not permit that: the Pod keeps the networks it has. "+
			"To fix: label the namespace %s=%s, or delete the Pod, so that its replacement starts with the networks", SelectionAnnotation, pod.Namespace, LiveMark, LiveValue))
	}
	return nil
}
