package kube

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// watched is a copy of some objects of the API server, kept by a list and a watch that begin again whenever they end.
type watched struct {
	name       string
	store      cache.Store
	controller cache.Controller

	mu      sync.Mutex
	changed chan struct{}
}

// watchObjects prepares a copy. Strip takes out of an object what nobody here reads; the copy is the largest thing in an agent's memory.
func watchObjects(name string, lw cache.ListerWatcher, object runtime.Object, strip cache.TransformFunc) *watched {
	w := &watched{name: name, changed: make(chan struct{})}
	w.store, w.controller = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: lw,
		ObjectType:    object,
		Transform:     strip,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { w.announce() },
			UpdateFunc: func(any, any) { w.announce() },
			DeleteFunc: func(any) { w.announce() },
		},
	})
	return w
}

// Run keeps the copy until the context ends, which is not an error.
func (w *watched) Run(ctx context.Context) error {
	go func() { // the first complete picture is a change too, also an empty one
		if cache.WaitForCacheSync(ctx.Done(), w.controller.HasSynced) {
			w.announce()
		}
	}()
	w.controller.RunWithContext(ctx)
	return nil
}

// Synced tells whether the copy was complete once.
func (w *watched) Synced() bool { return w.controller.HasSynced() }

// Name is what the copy is of.
func (w *watched) Name() string { return w.name }

// Changed gives a channel that is closed at the next change. Take it before reading.
func (w *watched) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *watched) announce() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait returns true as soon as found does, and false after the time or when the context ends.
func (w *watched) wait(ctx context.Context, atMost time.Duration, found func() bool) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	for {
		changed := w.Changed()
		if found() {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
