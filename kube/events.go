package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/attach"
)

const (
	// mostEvents bounds both the events that wait and the ones that are remembered to be counted.
	mostEvents = 1024
	// longestMessage is what the API server accepts of an event (1024 bytes).
	longestMessage = 1024
)

// Events tells people what happened to Pods. The same thing said again becomes a count and not a second event.
type Events struct {
	core rest.Interface
	node string
	log  *slog.Logger

	warnings, notes chan happening

	mu    sync.Mutex
	seen  map[happening]*told
	order []happening
}

// happening is what makes two events the same.
type happening struct {
	namespace, pod, uid, kind, reason, message string
}

// told is an event that was written, or is about to be.
type told struct {
	name        string
	first, last time.Time
	count       int32
	written     int32
	waiting     bool
}

// NewEvents tells events of a node; Run writes them.
func NewEvents(c *Client, node string, log *slog.Logger) *Events {
	return &Events{core: c.Core, node: node, log: log, warnings: make(chan happening, mostEvents), notes: make(chan happening, mostEvents),
		seen: map[happening]*told{}}
}

// Warn tells that something about a Pod is wrong (attach.Events). It does not wait.
func (e *Events) Warn(pod attach.Pod, reason, message string) {
	e.tell(pod, corev1.EventTypeWarning, reason, message)
}

// Note tells that something was done for a Pod (attach.Events). It does not wait.
func (e *Events) Note(pod attach.Pod, reason, message string) {
	e.tell(pod, corev1.EventTypeNormal, reason, message)
}

func (e *Events) tell(pod attach.Pod, kind, reason, message string) {
	if len(message) > longestMessage {
		message = strings.ToValidUTF8(message[:longestMessage-3], "") + "..." // a character cut in two goes
	}
	h := happening{pod.Namespace, pod.Name, pod.UID, kind, reason, message}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	t, ok := e.seen[h]
	if !ok {
		if len(e.order) >= mostEvents {
			delete(e.seen, e.order[0])
			e.order = e.order[1:]
		}
		t = &told{name: pod.Name + "." + strconv.FormatInt(now.UnixNano(), 16), first: now}
		e.seen[h] = t
		e.order = append(e.order, h)
	}
	t.count++
	t.last = now
	if t.waiting {
		return
	}
	queue := e.notes
	if kind == corev1.EventTypeWarning {
		queue = e.warnings
	}
	select {
	case queue <- h:
		t.waiting = true
	default:
		e.log.Warn("an event was dropped, too many wait", "pod", pod.String(), "reason", reason, "message", message)
	}
}

// notePause is the pace of events that tell of success. When many Pods start at once they must not take the API server from those who
// need an answer: while more than manyNotes wait, they come rushPause apart. That costs nobody but who reads them.
const (
	notePause = 50 * time.Millisecond
	rushPause = 5 * notePause
	manyNotes = 32
)

// Run writes events until the context ends, and then the ones that wait, for two seconds at most. While the API server is away events
// wait, and are counted. Warnings go first.
func (e *Events) Run(ctx context.Context) error {
	pace := time.NewTicker(notePause)
	defer pace.Stop()
	due, told := e.notes, time.Time{}
	for {
		select {
		case h := <-e.warnings:
			e.insist(ctx, h)
			continue
		default:
		}
		select {
		case h := <-e.warnings:
			e.insist(ctx, h)
		case h := <-due:
			e.insist(ctx, h)
			due, told = nil, time.Now()
		case <-pace.C:
			if len(e.notes) <= manyNotes || time.Since(told) >= rushPause {
				due = e.notes
			}
		case <-ctx.Done():
			e.flush(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// insist writes an event when the API server answers. The end of ctx ends the trying, not the request.
func (e *Events) insist(ctx context.Context, h happening) {
	for pause := 500 * time.Millisecond; !e.write(context.WithoutCancel(ctx), h) && ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// flush writes what waits.
func (e *Events) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case h := <-e.warnings:
			e.write(ctx, h)
		case h := <-e.notes:
			e.write(ctx, h)
		default:
			return
		}
	}
}

// write creates an event, or raises the count of one that exists. It gives false when the API server did not answer.
func (e *Events) write(ctx context.Context, h happening) bool {
	e.mu.Lock()
	t := e.seen[h]
	if t == nil { // forgotten meanwhile
		e.mu.Unlock()
		return true
	}
	now := *t
	t.waiting = false
	e.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var err error
	if now.written > 0 {
		err = e.raise(ctx, h, now)
	}
	if now.written == 0 || apierrors.IsNotFound(err) {
		err = e.create(ctx, h, now)
	}
	var answered apierrors.APIStatus
	switch {
	case err == nil:
		e.mu.Lock()
		t.written = now.count
		e.mu.Unlock()
	case !errors.As(err, &answered):
		e.log.Debug("an event waits for the API server", "pod", h.namespace+"/"+h.pod, "reason", h.reason, "err", err)
		return false
	default: // as in a namespace that is being deleted
		e.log.Warn("an event was refused", "pod", h.namespace+"/"+h.pod, "reason", h.reason, "message", h.message, "err", err)
	}
	return true
}

func (e *Events) create(ctx context.Context, h happening, t told) error {
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: t.name},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: h.namespace, Name: h.pod,
			UID: types.UID(h.uid)},
		Type: h.kind, Reason: h.reason, Message: h.message, Count: t.count,
		FirstTimestamp: metav1.NewTime(t.first), LastTimestamp: metav1.NewTime(t.last),
		Source:              corev1.EventSource{Component: "tsunagu", Host: e.node},
		ReportingController: "tsunagu.dev/agent", ReportingInstance: e.node,
	}
	err := e.core.Post().Namespace(h.namespace).Resource("events").Body(event).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		return e.raise(ctx, h, t)
	}
	return err
}

func (e *Events) raise(ctx context.Context, h happening, t told) error {
	patch, err := json.Marshal(map[string]any{"count": t.count, "lastTimestamp": metav1.NewTime(t.last)})
	if err != nil {
		return fmt.Errorf("render the count of event %s: %w", t.name, err)
	}
	return e.core.Patch(types.MergePatchType).Namespace(h.namespace).Resource("events").Name(t.name).Body(patch).Do(ctx).Error()
}
