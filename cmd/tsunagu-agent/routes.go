package main

import (
	"context"
	"time"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// watchRoutes tells the server when routes to single addresses go, so that a flush of the node's routes cuts Pods off for a moment only.
// The end of a Pod looks the same; then the server finds nothing to do.
func (a *agent) watchRoutes(ctx context.Context, server *attach.Server) error {
	for ctx.Err() == nil {
		m, err := route.NewMonitor(nil)
		if err == nil {
			err = m.Run(ctx, func(e route.Event) {
				if e.About == route.Lost || e.About == route.OfRoute && e.Gone && e.Protocol == link.RouteProtocol && e.Dst.IsSingleIP() {
					server.Disturbed()
				}
			})
		}
		if err != nil {
			a.log.Error("changes of routes are not seen; they are looked for every few seconds", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}
