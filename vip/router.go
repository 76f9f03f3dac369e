package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/vrrp"
)

// RouterConfig is that of a Router.
type RouterConfig struct {
	vrrp.Config
	// Interface is the one on the segment of the addresses.
	Interface string
	// Peers are told one by one, and nobody else is; none means the group that VRRP has for it.
	Peers     []netip.Addr
	Announcer Announcer
	// Now is the node's time (CLOCK_BOOTTIME).
	Now func() lease.Instant
	Log *slog.Logger
}

// Router is one node's part in owning the addresses by VRRP, among nodes that speak nothing else: keepalived, for one.
type Router struct {
	RouterConfig
	machine *vrrp.Machine
	heard   chan arrival
	told    chan func(lease.Instant) vrrp.Output
	ended   chan struct{}
	owns    bool
	ready   bool
	foreign foreign
	said    string // why nothing is sent, the last time

	socket *wire.Protocol
	index  int
	// neighbours are those that were heard.
	neighbours map[netip.Addr]neighbour
}

// arrival is an advertisement that may be obeyed.
type arrival struct {
	vrrp.Advertisement
	from netip.Addr
}

type neighbour struct {
	priority uint8
	at       lease.Instant
}

// NewRouter begins as a backup. Nothing is said before Run.
func NewRouter(c RouterConfig) (*Router, error) {
	if c.Announcer == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("vip: announcer, clock and log are needed")
	}
	for _, p := range c.Peers {
		if p.Is4() != c.Self.Is4() {
			return nil, fmt.Errorf("vip: peer %s is not of the address family of %s, from which this node speaks", p, c.Self)
		}
	}
	c.Peers = slices.DeleteFunc(slices.Clone(c.Peers), func(p netip.Addr) bool { return p == c.Self })
	machine, err := vrrp.New(c.Config, c.Now())
	if err != nil {
		return nil, fmt.Errorf("vip: %w", err)
	}
	// Nobody may use the address by what a former process allowed.
	if err := c.Announcer.Allow(0); err != nil {
		return nil, err
	}
	r := &Router{RouterConfig: c, machine: machine, ready: true, heard: make(chan arrival, 64), told: make(chan func(lease.Instant) vrrp.Output), ended: make(chan struct{}),
		neighbours: map[netip.Addr]neighbour{}}
	return r, r.open()
}

// open joins the group on the interface as it is now: it may have been made again under its name.
func (r *Router) open() error {
	nic, err := net.InterfaceByName(r.Interface)
	if err != nil {
		return fmt.Errorf("look at interface %s: %w", r.Interface, err)
	}
	if nic.Index == r.index {
		return nil
	}
	group := vrrp.Group4
	if r.Self.Is6() {
		group = vrrp.Group6
	}
	socket, err := wire.ListenProtocolHere(r.Interface, nic.Index, vrrp.Protocol, r.Self, group)
	if err != nil {
		return err
	}
	r.close()
	r.socket, r.index = socket, nic.Index
	go r.listen(socket)
	return nil
}

func (r *Router) close() {
	if r.socket != nil {
		r.socket.Close()
	}
}

// glance is how often the interface is looked at.
const glance = time.Second

// Run takes part until ctx ends; then it lets go at once, and tells the others not to wait.
func (r *Router) Run(ctx context.Context) error {
	defer func() { r.close() }()
	defer close(r.ended)
	timer, look := time.NewTimer(0), time.NewTicker(glance)
	defer timer.Stop()
	defer look.Stop()
	for {
		var o vrrp.Output
		select {
		case a := <-r.heard:
			o = r.hear(a)
		case <-timer.C:
			o = r.machine.Tick(r.Now())
		case do := <-r.told:
			o = do(r.Now())
		case <-look.C:
			if err := r.open(); err != nil {
				r.tell(err)
			}
			continue
		case <-ctx.Done():
			return r.apply(r.machine.Leave(r.Now()))
		}
		if err := r.apply(o); err != nil {
			return errors.Join(err, r.Announcer.Allow(0))
		}
		timer.Reset(o.Next.Sub(r.Now()))
	}
}

// apply does what VRRP says, the fence first.
func (r *Router) apply(o vrrp.Output) error {
	owns := r.machine.Owner(r.Now())
	if owns || r.owns {
		if err := r.Announcer.Allow(o.Until); err != nil {
			return err
		}
	}
	if owns != r.owns {
		r.owns = owns
		r.Announcer.Own(owns)
		r.Log.Info("the addresses", "owns", owns, "priority", r.machine.Priority)
	}
	if o.Send == nil {
		return nil
	}
	err := r.send(*o.Send)
	r.tell(err)
	if err != nil && owns {
		return r.apply(r.machine.Unsent(r.Now()))
	}
	return nil
}

func (r *Router) send(a vrrp.Advertisement) error {
	to := r.Peers
	switch {
	case len(to) > 0:
	case r.Self.Is4():
		to = []netip.Addr{vrrp.Group4}
	default:
		to = []netip.Addr{vrrp.Group6}
	}
	var errs []error
	for _, at := range to {
		b, err := a.Append(nil, r.Self, at)
		if err == nil {
			err = r.socket.Send(b, at)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tell says once that the others are not told, and once that they are again.
func (r *Router) tell(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if was := r.said; now == was {
		return
	}
	if r.said = now; err != nil {
		r.Log.Error("tell the other nodes", "err", err)
	} else {
		r.Log.Info("tell the other nodes: works again")
	}
}

// listen reads until the socket is closed.
func (r *Router) listen(on *wire.Protocol) {
	for {
		p, err := on.Receive()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP error of an earlier packet, or the interface is down
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-r.ended:
				return
			}
		}
		if p.From == r.Self {
			continue
		}
		a, err := vrrp.Read(p.Payload, p.From, p.To)
		switch {
		case err == nil && a.Router != r.machine.Router: // another one's, on the same segment
			continue
		case err == nil && p.Hops != 255: // RFC 9568 §7.1
			err = fmt.Errorf("its TTL is %d, not 255: it came over a router", p.Hops)
		case err == nil:
			if why := r.machine.Foreign(a, p.From); why != "" {
				err = errors.New(why)
			}
		}
		if err != nil {
			r.foreign.tell(r.Log, p.From, fmt.Errorf("advertisement of virtual router %d: %w", r.machine.Router, err))
			continue
		}
		select {
		case r.heard <- arrival{a, p.From}:
		case <-r.ended:
			return
		}
	}
}

// hear obeys an advertisement, also one whose addresses are others: two owners of some of them would be worse than none of the rest.
func (r *Router) hear(a arrival) vrrp.Output {
	now := r.Now()
	if !sameAddresses(a.Addresses, r.machine.Addresses) {
		r.foreign.tell(r.Log, a.from, fmt.Errorf("it says that virtual router %d has the addresses %v, this node has %v: give all nodes the same, in the same order", a.Router, a.Addresses, r.machine.Addresses))
	}
	r.neighbours[a.from] = neighbour{a.Priority, now}
	for who, n := range r.neighbours {
		if now.Sub(n.at) > remembered {
			delete(r.neighbours, who)
		}
	}
	return r.machine.Hear(a.Advertisement, a.from, now)
}

// remembered is for how long a node is told of that says nothing: backups do not.
const remembered = time.Hour

func sameAddresses(a, b []netip.Addr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x netip.Addr) bool { return !slices.Contains(b, x) })
}

func (r *Router) do(ctx context.Context, what func(lease.Instant) vrrp.Output) error {
	done := make(chan struct{})
	select {
	case r.told <- func(now lease.Instant) vrrp.Output { defer close(done); return what(now) }:
		<-done
		return nil
	case <-r.ended:
		return errors.New("the agent has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetReady tells whether what the addresses are for works on this node.
func (r *Router) SetReady(ctx context.Context, ready bool) error {
	return r.do(ctx, func(now lease.Instant) vrrp.Output {
		r.ready = ready
		return r.machine.SetReady(now, ready)
	})
}

// Handover lets go of the addresses; which node takes them is told by the priorities.
func (r *Router) Handover(ctx context.Context, to netip.Addr) error {
	if to.IsValid() {
		return fmt.Errorf("hand over to %s: with VRRP the priorities say who is next, so leave the node out", to)
	}
	var failed error
	err := r.do(ctx, func(now lease.Instant) vrrp.Output {
		if !r.machine.Owner(now) {
			failed = errors.New("hand over: this node does not own")
			return r.machine.Tick(now)
		}
		return r.machine.Leave(now)
	})
	return errors.Join(err, failed)
}

// Remove is not needed.
func (r *Router) Remove(context.Context, ...netip.Addr) error {
	return errors.New("remove: VRRP has no list of members; a node that says nothing is none")
}

// Refused counts advertisements that were not obeyed, or do not say what this node says.
func (r *Router) Refused() int64 { return r.foreign.count() }

// Status tells how things are.
func (r *Router) Status(ctx context.Context) (s vrrp.Status, err error) {
	err = r.do(ctx, func(now lease.Instant) vrrp.Output {
		s = vrrp.Status{Self: r.machine.Self, Owns: r.machine.Owner(now), Priority: r.machine.Priority, Ready: r.ready, Interval: r.machine.OwnerInterval()}
		for who, n := range r.neighbours {
			s.Heard = append(s.Heard, vrrp.Heard{Node: who, Priority: n.priority, Silent: now.Sub(n.at)})
		}
		return r.machine.Tick(now)
	})
	return s, err
}
