package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/steer"
	"github.com/tsunagu-net/tsunagu/vip/proxy"
)

// detour leads connections to the address through the proxy while this node's API server does not work. The API server sees them come
// from this node then, as it does with every proxy of TCP; while its own works the node's API server sees the client itself.
type detour struct {
	steer *steer.Steer // nil: the kernel cannot, and the address moves instead
	on    bool
}

// brisk is how long this node's API server may take to answer before new connections are led elsewhere. To be wrong costs them a hop:
// none is ended.
const brisk = 300 * time.Millisecond

// openDetour prepares it, and returns where the connections arrive.
func (n *node) openDetour(ctx context.Context) []net.Listener {
	if n.agent == nil || n.options.health == "none" || n.mode == byTableMode { // there the routers lead elsewhere
		return nil
	}
	s, err := steer.New(n.apiPort, n.addresses...)
	if err != nil {
		n.log.Warn("while this node's API server fails the address moves: connections to it cannot be led to another one (Linux 5.9 can)", "err", err)
		return nil
	}
	n.detour.steer = s
	n.check = proxy.NewChecker(brisk)
	context.AfterFunc(ctx, s.Close)
	return s.Listeners()
}

// turn tells whether connections are led elsewhere now.
func (d *detour) turn(on bool, log *slog.Logger) bool {
	if d.steer == nil || on == d.on {
		return d.on
	}
	do := d.steer.Off
	if on {
		do = d.steer.On
	}
	if err := do(); err != nil {
		log.Error("lead connections to the address", "elsewhere", on, "err", err)
		return d.on
	}
	d.on = on
	log.Info("connections to the address", "elsewhere", on)
	return on
}
