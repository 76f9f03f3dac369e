package cluster

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// silence is the longest time between two answers.
type silence struct {
	// address is of requests that need nothing but the address and the API server behind it; nodes is of lists of nodes, as kubectl get nodes makes
	// them, which need etcd's leader besides.
	address, nodes time.Duration
}

// A try is begun every pace on a connection of its own, and given up after tryFor: a connection that was open, or a first packet that was lost, is
// repeated by the kernel after a second only, and would measure that.
const (
	pace   = 25 * time.Millisecond
	tryFor = 500 * time.Millisecond
)

// during asks all the time while something happens.
func (a *api) during(ctx context.Context, happen func()) silence {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	fresh := *a
	transport := a.http.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	fresh.http.Transport = transport
	var both sync.WaitGroup
	var s silence
	both.Go(func() { s.address = fresh.longest(ctx, "/livez/ping") })
	both.Go(func() { s.nodes = fresh.longest(ctx, "/api/v1/nodes") })
	happen()
	stop()
	both.Wait()
	return s
}

// longest is the longest time between two answers to a path.
func (a *api) longest(ctx context.Context, path string) (longest time.Duration) {
	var mu sync.Mutex
	var tries sync.WaitGroup
	last := time.Now()
	answered := func() {
		mu.Lock()
		defer mu.Unlock()
		longest, last = max(longest, time.Since(last)), time.Now()
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for ctx.Err() == nil {
		tries.Go(func() {
			try, cancel := context.WithTimeout(ctx, tryFor)
			defer cancel()
			if a.get(try, path, nil) == nil {
				answered()
			}
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	tries.Wait()
	return max(longest, time.Since(last))
}
