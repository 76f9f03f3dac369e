package overlay

import (
	"context"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// again is the pause before a subscription that broke is made anew; audits cover the time in between.
const again = time.Second

// watchLinks asks for a pass when links, addresses or routes of concern change.
func (o *Overlay) watchLinks(ctx context.Context) {
	o.subscribed(ctx, "links", func() error {
		m, err := route.NewMonitor(o.cfg.Namespace)
		if err != nil {
			return err
		}
		o.loop.Kick() // something may have changed before
		return m.Run(ctx, func(e route.Event) {
			if concerns(e) && (e.About != route.OfLink || o.standsOn(e.Name)) {
				o.loop.Kick()
			}
		})
	})
}

// watchRules asks for a pass when somebody else changes the nft table.
func (o *Overlay) watchRules(ctx context.Context) {
	o.subscribed(ctx, "rules", func() error { return o.table.Watch(ctx, o.loop.Kick, o.loop.Kick) })
}

func (o *Overlay) subscribed(ctx context.Context, to string, run func() error) {
	for ctx.Err() == nil {
		if err := run(); err != nil {
			o.log.Error("subscription broke", "to", to, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// concerns leaves out what Pods come and go with: their links, and routes to single and link-local addresses.
func concerns(e route.Event) bool {
	switch e.About {
	case route.OfLink:
		return !ofPod(e.Name)
	case route.OfAddress:
		return !e.Dst.Addr().IsLinkLocalUnicast()
	case route.OfRoute:
		return e.Main && !e.Dst.IsSingleIP() && !e.Dst.Addr().IsLinkLocalUnicast() && (e.Protocol == route.Protocol || !e.Gone)
	}
	return true
}

// standsOn tells whether a link is the tunnel or what packets between nodes leave by. Others change with every Pod that has an interface on
// them: a macvlan switches its uplink's flags. Before the first pass every link may be it.
func (o *Overlay) standsOn(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last == nil || name == Device || name == o.status.Underlay
}
