package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/record"
)

// Records is where the record is.
type Records interface {
	// Read gives the record, without a version if there is none. Write replaces the version that the record names, or makes it if it names none.
	Read(ctx context.Context) record.Answer
	Write(ctx context.Context, r record.Record) record.Answer
}

// HolderConfig is that of a Holder.
type HolderConfig struct {
	record.Config
	Records   Records
	Announcer Announcer
	// Now is the node's time (CLOCK_BOOTTIME).
	Now func() lease.Instant
	Log *slog.Logger
}

// Holder is one node's part in owning the addresses by a record, among nodes that have the same one: kube-vip, for one.
type Holder struct {
	HolderConfig
	machine *record.Machine
	answers chan record.Answer
	told    chan func(lease.Instant) record.Output
	ended   chan struct{}
	owns    bool
	ready   bool
}

// HolderStatus is how a Holder sees things.
type HolderStatus struct {
	Self, Holder string
	Owns, Ready  bool
	Transitions  int
}

// NewHolder begins as nobody. Nothing is asked before Run.
func NewHolder(c HolderConfig) (*Holder, error) {
	if c.Records == nil || c.Announcer == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("vip: records, announcer, clock and log are needed")
	}
	machine, err := record.New(c.Config, c.Now())
	if err != nil {
		return nil, fmt.Errorf("vip: %w", err)
	}
	// Nobody may use the address by what a former process allowed.
	if err := c.Announcer.Allow(0); err != nil {
		return nil, err
	}
	return &Holder{HolderConfig: c, machine: machine, answers: make(chan record.Answer, 1), told: make(chan func(lease.Instant) record.Output), ended: make(chan struct{})}, nil
}

// goodbye is for how long an end waits for the record to say so.
const goodbye = time.Second

// Run takes part until ctx ends; then it lets go at once, and says so in the record.
func (h *Holder) Run(ctx context.Context) error {
	defer close(h.ended)
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	end, done := ctx.Done(), (<-chan time.Time)(nil)
	for {
		var o record.Output
		select {
		case a := <-h.answers:
			o = h.machine.Answer(h.Now(), a)
		case <-timer.C:
			o = h.machine.Tick(h.Now())
		case do := <-h.told:
			o = do(h.Now())
		case <-end:
			o, end, done = h.machine.LetGo(h.Now(), time.Hour), nil, time.After(goodbye)
		case <-done:
			return nil
		}
		if err := h.apply(asking, o); err != nil {
			return errors.Join(err, h.Announcer.Allow(0))
		}
		if end == nil && h.machine.Gone() {
			return nil
		}
		timer.Reset(o.Next.Sub(h.Now()))
	}
}

// apply does what the record says, the fence first.
func (h *Holder) apply(ctx context.Context, o record.Output) error {
	for _, note := range o.Notes {
		h.Log.Info(note)
	}
	owns := h.machine.Owner(h.Now())
	if owns || h.owns {
		if err := h.Announcer.Allow(o.Until); err != nil {
			return err
		}
	}
	if owns != h.owns {
		h.owns = owns
		h.Announcer.Own(owns)
		h.Log.Info("the addresses", "owns", owns)
	}
	if o.Read || o.Write != nil {
		go h.ask(ctx, o.Write)
	}
	return nil
}

// ask is one question; there is never a second one on its way.
func (h *Holder) ask(ctx context.Context, w *record.Record) {
	ctx, cancel := context.WithTimeout(ctx, max(h.Retry, h.Duration/4))
	defer cancel()
	if w == nil {
		h.answers <- h.Records.Read(ctx)
		return
	}
	now := time.Now()
	w.Renewed = now
	if w.Acquired.IsZero() && w.Holder != "" {
		w.Acquired = now
	}
	h.answers <- h.Records.Write(ctx, *w)
}

func (h *Holder) do(ctx context.Context, what func(lease.Instant) record.Output) error {
	done := make(chan struct{})
	select {
	case h.told <- func(now lease.Instant) record.Output { defer close(done); return what(now) }:
		<-done
		return nil
	case <-h.ended:
		return errors.New("the agent has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetReady tells whether what the addresses are for works on this node.
func (h *Holder) SetReady(ctx context.Context, ready bool) error {
	return h.do(ctx, func(now lease.Instant) record.Output {
		h.ready = ready
		return h.machine.SetReady(now, ready)
	})
}

// Handover lets go of the addresses; the first node that asks takes them.
func (h *Holder) Handover(ctx context.Context, to netip.Addr) error {
	if to.IsValid() {
		return fmt.Errorf("hand over to %s: the first node that asks for the Lease gets it, so leave the node out", to)
	}
	var failed error
	err := h.do(ctx, func(now lease.Instant) record.Output {
		if !h.machine.Owner(now) {
			failed = errors.New("hand over: this node does not own")
			return h.machine.Tick(now)
		}
		return h.machine.LetGo(now, 3*h.Retry)
	})
	return errors.Join(err, failed)
}

// Remove is not needed.
func (h *Holder) Remove(context.Context, ...netip.Addr) error {
	return errors.New("remove: the Lease has no list of members; a node that does not ask for it is none")
}

// Refused is none: nobody says anything but the record.
func (h *Holder) Refused() int64 { return 0 }

// Status tells how things are.
func (h *Holder) Status(ctx context.Context) (s HolderStatus, err error) {
	err = h.do(ctx, func(now lease.Instant) record.Output {
		s = HolderStatus{Self: h.machine.Self, Holder: h.machine.Holder(), Owns: h.machine.Owner(now), Ready: h.ready, Transitions: h.machine.Transitions()}
		return h.machine.Tick(now)
	})
	return s, err
}
