package vip

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip/datagram"
	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// Agent is one node's part in owning the address.
type Agent struct {
	Config
	socket  *net.UDPConn
	doors   []*net.UDPConn // where others ask to be taken in: at the addresses
	machine *lease.Machine
	heard   chan lease.Message
	told    chan func(lease.Instant) lease.Output
	ended   chan struct{}
	owns    bool
	foreign foreign
}

// New reads what was kept and opens the socket. Nothing is said before Run.
func New(c Config) (*Agent, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	kept, err := c.start()
	if err != nil {
		return nil, err
	}
	first, err := c.first()
	if err != nil {
		return nil, err
	}
	var start [8]byte
	rand.Read(start[:])
	lc := lease.Config{
		Self: id(c.Node), Start: binary.NativeEndian.Uint64(start[:]), Timing: c.Timing, Kept: kept, Health: lease.Health{Weight: c.Weight},
		First: first, Preempt: c.Preempt, Admit: true, Seed: binary.NativeEndian.Uint64(start[:]),
	}
	for _, j := range c.Join {
		lc.Contacts = append(lc.Contacts, id(j))
	}
	machine, err := lease.New(c.Now(), lc)
	if err != nil {
		return nil, err
	}
	// Nobody may use the address by what a former process allowed.
	if err := c.Announcer.Allow(0); err != nil {
		return nil, err
	}
	a := &Agent{Config: c, machine: machine, heard: make(chan lease.Message, 64), told: make(chan func(lease.Instant) lease.Output), ended: make(chan struct{})}
	if a.socket, err = wire.ListenUDPHere(netip.AddrPortFrom(c.Node, c.Port)); err != nil {
		return nil, fmt.Errorf("listen for other control-plane nodes: %w", err)
	}
	for _, at := range c.Addresses {
		door, err := wire.ListenUDPHere(netip.AddrPortFrom(at, c.Port))
		if err != nil {
			a.close()
			return nil, fmt.Errorf("listen for nodes that want to be taken in: %w", err)
		}
		a.doors = append(a.doors, door)
	}
	return a, nil
}

func (a *Agent) close() {
	a.socket.Close()
	for _, d := range a.doors {
		d.Close()
	}
}

// first tells whether no agent has run on this node since it booted: the
// run-time directory is lost with a reboot, and the mark in it too.
func (c *Config) first() (bool, error) {
	mark, err := os.OpenFile(filepath.Join(c.RunDir, "vip-started"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mark that an agent has started: %w", err)
	}
	return true, mark.Close()
}

// Run takes part until ctx ends; then it lets go at once, so that another node
// owns within milliseconds.
func (a *Agent) Run(ctx context.Context) error {
	defer a.close()
	defer close(a.ended)
	for _, c := range append([]*net.UDPConn{a.socket}, a.doors...) {
		go a.listen(c)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var o lease.Output
		select {
		case m := <-a.heard:
			o = a.machine.Receive(a.Now(), m)
		case <-timer.C:
			o = a.machine.Tick(a.Now())
		case do := <-a.told:
			o = do(a.Now())
		case <-ctx.Done():
			return a.apply(a.machine.Stop(a.Now()))
		}
		if err := a.apply(o); err != nil {
			return errors.Join(err, a.Announcer.Allow(0))
		}
		timer.Reset(o.Next.Sub(a.Now()))
	}
}

// apply does what the lease says, in its order: fence, disk, messages.
func (a *Agent) apply(o lease.Output) error {
	for _, note := range o.Notes {
		a.Log.Info(note)
	}
	until := lease.Instant(0)
	if o.Lease.Held {
		until = o.Lease.Until
	}
	if o.Lease.Held || a.owns {
		if err := a.Announcer.Allow(until); err != nil {
			return err
		}
	}
	if o.Lease.Held != a.owns {
		a.owns = o.Lease.Held
		a.Announcer.Own(a.owns)
	}
	if o.Keep != nil {
		if err := writeKept(a.keptPath(), *o.Keep); err != nil {
			return err
		}
	}
	for _, m := range o.Send {
		a.send(m)
	}
	return nil
}

// send is best effort: what is lost is sent again by the lease.
func (a *Agent) send(m lease.Message) {
	to, err := netip.ParseAddr(string(m.To))
	if err != nil {
		a.Log.Error("a member whose name is no address", "member", m.To)
		return
	}
	if m.Kind == lease.Hello {
		m.To = "" // whoever answers there
	}
	b, err := a.Key.Seal(m)
	if err != nil {
		a.Log.Error("write to another node", "node", to, "err", err)
		return
	}
	_, _ = a.socket.WriteToUDPAddrPort(b, netip.AddrPortFrom(to, a.Port))
}

// listen reads until the socket is closed.
func (a *Agent) listen(on *net.UDPConn) {
	b := make([]byte, datagram.Most+1)
	for {
		n, from, err := on.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier datagram
		}
		m, err := a.Key.Open(b[:n])
		if err != nil {
			a.foreign.tell(a.Log, from.Addr().Unmap(), err)
			continue
		}
		if m.From.ID != id(from.Addr().Unmap()) {
			a.foreign.tell(a.Log, from.Addr().Unmap(), fmt.Errorf("it calls itself %s: each control-plane node must send from the address that it is named by", m.From.ID))
			continue
		}
		select {
		case a.heard <- m:
		case <-a.ended:
			return
		}
	}
}

// do runs something between two steps of the lease.
func (a *Agent) do(ctx context.Context, what func(lease.Instant) lease.Output) error {
	done := make(chan struct{})
	select {
	case a.told <- func(now lease.Instant) lease.Output { defer close(done); return what(now) }:
		<-done
		return nil
	case <-a.ended:
		return errors.New("the agent has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetReady tells whether what the address is for works on this node.
func (a *Agent) SetReady(ctx context.Context, ready bool) error {
	return a.do(ctx, func(now lease.Instant) lease.Output {
		return a.machine.SetHealth(now, lease.Health{Weight: a.Weight, Ready: ready})
	})
}

// Refused counts datagrams that were not believed.
func (a *Agent) Refused() int64 { return a.foreign.count() }

// Handover gives the address to another node; the zero address means the best.
func (a *Agent) Handover(ctx context.Context, to netip.Addr) error {
	var failed error
	err := a.do(ctx, func(now lease.Instant) (o lease.Output) {
		name := lease.ID("")
		if to.IsValid() {
			name = id(to)
		}
		o, failed = a.machine.Handover(now, name)
		return o
	})
	return errors.Join(err, failed)
}

// Remove takes nodes off the list of members; only the owner can. It is begun
// when Remove returns, and done when the list says so.
func (a *Agent) Remove(ctx context.Context, nodes ...netip.Addr) error {
	var failed error
	err := a.do(ctx, func(now lease.Instant) (o lease.Output) {
		var ids []lease.ID
		for _, n := range nodes {
			if !a.machine.Members.Has(id(n)) {
				failed = fmt.Errorf("remove %s: it is no member (members: %s)", n, a.machine.Members)
				return a.machine.Tick(now)
			}
			ids = append(ids, id(n))
		}
		o, failed = a.machine.Change(now, nil, ids)
		return o
	})
	return errors.Join(err, failed)
}

// Status tells how things are.
func (a *Agent) Status(ctx context.Context) (s lease.Status, err error) {
	err = a.do(ctx, func(now lease.Instant) lease.Output {
		s = a.machine.Status(now)
		return a.machine.Tick(now)
	})
	return s, err
}
