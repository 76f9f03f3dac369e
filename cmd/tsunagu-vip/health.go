package main

import (
	"context"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/proxy"
)

// How often this node's API server is asked, and how many times in a row it may fail.
const (
	healthInterval = 250 * time.Millisecond
	healthFailures = 2
)

// health is what is known of this node's API server.
type health struct{ failures int }

func (h *health) works() bool { return h.failures < healthFailures }

func (h *health) note(err error) {
	switch {
	case err == nil:
		h.failures = 0
	case proxy.Refused(err):
		h.failures = healthFailures
	default:
		h.failures++
	}
}

// watch tells the lease whether the node would serve well, and leads connections to the address elsewhere while its own API server
// does not work.
func (n *node) watch(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	local, was := health{failures: healthFailures}, false
	for first := true; ; first = false {
		var err error
		if n.options.health != "none" {
			err = n.check.Ready(ctx, n.options.health)
		}
		did := local.works()
		if local.note(err); did && !local.works() {
			n.log.Warn("this node's API server is not ready", "err", err)
		}
		led := n.detour.turn(!local.works() && n.proxy != nil && n.proxy.Elsewhere(), n.log)
		n.counts.led.Store(led)
		// An owner that leads elsewhere stays: a move would end connections that work.
		ready := (n.segment == nil || n.segment.Up()) && (local.works() || led && n.counts.owns.Load())
		if ready != was || first {
			was = ready
			n.counts.ready.Store(ready)
			if err := n.agent.SetReady(ctx, ready); err != nil {
				return
			}
			n.log.Info("health of this node", "ready", ready)
		}
		select {
		case <-tick.C:
		case <-n.check.Lost():
		case <-ctx.Done():
			return
		}
	}
}
