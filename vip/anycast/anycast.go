package anycast

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

// Teller tells the routers that the addresses are here.
type Teller interface {
	// Tell is called after the addresses are there, and again every second; Untell before they go. carrier is the index of the device that
	// has them.
	Tell(carrier int) error
	Untell(carrier int) error
	Close() error
}

// Anycast has the addresses, and tells of them, while it is told to.
type Anycast struct {
	teller  Teller
	log     *slog.Logger
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

// Open removes what a former run left of the addresses, and begins to follow Have. The teller is closed with it.
func Open(addresses []netip.Addr, by Teller, log *slog.Logger) (*Anycast, error) {
	conn, err := link.DialHere()
	if err != nil {
		return nil, err
	}
	c, err := carrier.New(conn, addresses, log)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	x := &Anycast{teller: by, log: log, conn: conn, carrier: c, turn: make(chan struct{}, 1), done: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	go x.keep()
	return x, nil
}

// Have says whether the node is to have the addresses. It does not block.
func (x *Anycast) Have(yes bool) {
	x.wanted.Store(yes)
	select {
	case x.turn <- struct{}{}:
	default:
	}
}

// Has tells whether the addresses are there, and told of.
func (x *Anycast) Has() bool { return x.has.Load() }

// Close takes all away.
func (x *Anycast) Close() error {
	x.cancel()
	<-x.done
	return errors.Join(x.teller.Close(), x.carrier.Remove(), x.conn.Close())
}

// keep puts the addresses there again and again: they have an end of their own, and somebody may have taken them away.
func (x *Anycast) keep() {
	defer close(x.done)
	tick := time.NewTicker(carrier.Refresh)
	defer tick.Stop()
	tried := false // something may be there
	for x.ctx.Err() == nil {
		var err error
		switch {
		case x.wanted.Load():
			tried = true
			err = x.place()
			x.has.Store(err == nil)
		case tried:
			err = x.vacate()
			tried = err != nil
			x.has.Store(false)
		}
		x.tell(err)
		select {
		case <-x.turn:
		case <-tick.C:
		case <-x.ctx.Done():
		}
	}
	if tried {
		x.tell(x.vacate())
	}
}

// place is the address first: who comes by the route is to find it.
func (x *Anycast) place() error {
	if err := x.carrier.Place(); err != nil {
		return err
	}
	return x.teller.Tell(x.carrier.Index())
}

// vacate is the routes first: nobody is to come any more.
func (x *Anycast) vacate() error {
	return errors.Join(x.teller.Untell(x.carrier.Index()), x.carrier.Vacate())
}

// tell says once what does not work, and once that it does again.
func (x *Anycast) tell(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now == x.failed {
		return
	}
	if x.failed = now; err != nil {
		x.log.Error("have the addresses, and tell routers of them", "err", err)
	} else {
		x.log.Info("have the addresses, and tell routers of them: works again")
	}
}
