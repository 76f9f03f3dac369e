package table

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
)

// Config of a Table.
type Config struct {
	Addresses []netip.Addr
	// Number of the table, and the routes' protocol (rtnetlink(7), rtm_protocol), by which the daemon knows them.
	Number, Protocol int
	Log              *slog.Logger
}

// Table has the addresses and their routes while it is told to.
type Table struct {
	Config
	conn    *link.Conn
	carrier *carrier.Carrier
	wanted  atomic.Bool
	has     atomic.Bool
	turn    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	failed  string
}

// Open removes what a former run left, and begins to follow Have.
func Open(c Config) (*Table, error) {
	conn, err := link.DialHere()
	if err != nil {
		return nil, err
	}
	t := &Table{Config: c, conn: conn, turn: make(chan struct{}, 1), done: make(chan struct{})}
	if t.carrier, err = carrier.New(conn, c.Addresses, c.Log); err != nil {
		conn.Close()
		return nil, err
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	go t.keep()
	return t, nil
}

// Have says whether the node is to have the addresses. It does not block.
func (t *Table) Have(yes bool) {
	t.wanted.Store(yes)
	select {
	case t.turn <- struct{}{}:
	default:
	}
}

// Has tells whether the addresses and routes are there.
func (t *Table) Has() bool { return t.has.Load() }

// Close takes all away.
func (t *Table) Close() error {
	t.cancel()
	<-t.done
	return errors.Join(t.carrier.Remove(), t.conn.Close())
}

// keep puts the addresses and routes there again and again: they have an end of their own, and somebody may have taken them away.
func (t *Table) keep() {
	defer close(t.done)
	tick := time.NewTicker(carrier.Refresh)
	defer tick.Stop()
	for t.ctx.Err() == nil {
		var err error
		switch {
		case t.wanted.Load():
			err = t.place()
			t.has.Store(err == nil)
		case t.has.Load():
			err = t.vacate()
			t.has.Store(false)
		}
		t.tell(err)
		select {
		case <-t.turn:
		case <-tick.C:
		case <-t.ctx.Done():
		}
	}
	if t.has.Load() {
		t.tell(t.vacate())
	}
}

// place is the address first: who comes by the route is to find it.
func (t *Table) place() error {
	if err := t.carrier.Place(); err != nil {
		return err
	}
	var ops []link.Op
	for _, r := range t.routes() {
		ops = append(ops, link.ReplaceRoute(carrier.Device, r))
	}
	return t.conn.Apply(ops...)
}

// routes end with the process: those of IPv4 go with the address that is their source. The kernel has nothing of the kind for IPv6; those have
// a time of their own, and go when it tidies up after that (net.ipv6.route.gc_interval, 30 s).
func (t *Table) routes() (all []link.Route) {
	for _, a := range t.Addresses {
		r := link.Route{Index: t.carrier.Index(), Dst: carrier.Host(a), Table: t.Number, Protocol: t.Protocol}
		if a.Is4() {
			r.Source = a
		} else {
			r.Expires = int(carrier.Lifetime / time.Second)
		}
		all = append(all, r)
	}
	return all
}

// vacate is the routes first: nobody is to come any more.
func (t *Table) vacate() error {
	var ops []link.Op
	for _, r := range t.routes() {
		r.Source, r.Expires = netip.Addr{}, 0
		ops = append(ops, link.DeleteRoute(carrier.Device, r).Forgiving())
	}
	return errors.Join(t.conn.Apply(ops...), t.carrier.Vacate())
}

// tell says once what does not work, and once that it does again.
func (t *Table) tell(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now == t.failed {
		return
	}
	if t.failed = now; err != nil {
		t.Log.Error("put the addresses into the routing table", "table", t.Number, "err", err)
	} else {
		t.Log.Info("put the addresses into the routing table: works again", "table", t.Number)
	}
}
