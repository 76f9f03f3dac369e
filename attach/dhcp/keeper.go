package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Options of a Keeper.
type Options struct {
	// Open leads to the servers of an interface (OpenLine).
	Open func(ctx context.Context, a Ask, v4 bool) (Line, error)
	// Log is where leases are written down.
	Log Log
	// Now is a clock that goes on over a restart of the process (clock.Boot).
	Now func() time.Duration
	// InUse tells who has an address on the segment of an interface; nil is nobody. It may be nil itself: then nobody is asked.
	InUse  func(ctx context.Context, a Ask, x netip.Addr) (net.HardwareAddr, error)
	Logger *slog.Logger
}

// Log keeps leases over a crash of the process, but not over a reboot (ipam/journal).
type Log interface {
	Put(key string, value []byte) error
	Delete(key string) error
	All(visit func(key string, value []byte))
}

// Follower makes interfaces have what their leases say.
type Follower interface {
	// Follow is told of an interface whose leases have changed: all that it has now, which may be none. Why says what happened in words
	// for people; it is empty when nothing is wrong. An error means that it is told again.
	Follow(ctx context.Context, a Ask, leases []Lease, why string) error
}

// patience is how long it is tried to get an address, while a Pod waits or in one go later.
const patience = 8 * time.Second

// mostSteps is how many leases are worked on at the same time.
const mostSteps = 64

// Keeper has the leases of a node. One goroutine sleeps until the next is due; sockets are open only while something is said.
type Keeper struct {
	Options
	slots chan struct{}
	wake  chan struct{}

	mu   sync.Mutex
	held map[string]*holding
}

// New takes over the leases of a log. The error tells of records that cannot be read; the keeper works nevertheless.
func New(o Options) (*Keeper, error) {
	k := &Keeper{Options: o, slots: make(chan struct{}, mostSteps), wake: make(chan struct{}, 1), held: map[string]*holding{}}
	var bad []error
	o.Log.All(func(key string, value []byte) {
		h, err := decode(key, value)
		if err != nil {
			bad = append(bad, err)
			return
		}
		h.next = h.Since + h.Lease.Renew
		if h.Untold || h.Lost || h.Lease.stageAt(o.Now()-h.Since) != bound {
			h.next = o.Now()
		}
		k.held[key] = h
	})
	return k, errors.Join(bad...)
}

// Acquire gets the addresses that an interface asks for, all or none, and keeps them until Release. The interface must be up.
func (k *Keeper) Acquire(ctx context.Context, a Ask) ([]Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found []*holding
	for _, v4 := range []bool{true, false} {
		if v4 && a.V4 || !v4 && a.V6 {
			found = append(found, &holding{record: record{Ask: a, V4: v4}})
		}
	}
	errs := make([]error, len(found))
	var all sync.WaitGroup
	for i, h := range found {
		all.Go(func() { h.Lease, errs[i] = k.acquire(ctx, h.Ask, h.V4, netip.Addr{}) })
	}
	all.Wait()
	err := errors.Join(errs...)
	var leases []Lease
	for _, h := range found {
		if err != nil {
			if h.Lease.Address.IsValid() {
				k.giveBack(context.WithoutCancel(ctx), h)
			}
			continue
		}
		leases = append(leases, h.Lease)
		err = k.keep(h)
	}
	if err != nil {
		return nil, errors.Join(first(errs, err), k.Release(context.WithoutCancel(ctx), a.Key))
	}
	k.nudge()
	return leases, nil
}

// first is the first error of a list: the others say the same of another protocol.
func first(errs []error, otherwise error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return otherwise
}

// keep writes a lease down and keeps it from then on.
func (k *Keeper) keep(h *holding) error {
	now := k.Now()
	h.begin(now)
	if err := k.write(h); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[h.key()] = h
	return nil
}

// acquire gets one address.
func (k *Keeper) acquire(ctx context.Context, a Ask, v4 bool, last netip.Addr) (Lease, error) {
	line, err := k.Open(ctx, a, v4)
	if err != nil {
		return Lease{}, fmt.Errorf("open %s for DHCP: %w", a.Key.IfName, err)
	}
	defer line.Close()
	if v4 {
		return client4{a, line, k.InUse}.acquire(ctx, last)
	}
	return client6{a, line, k.InUse}.acquire(ctx, last)
}

// extend asks to go on with a lease.
func (k *Keeper) extend(ctx context.Context, h record, of stage) (Lease, bool, error) {
	line, err := k.Open(ctx, h.Ask, h.V4)
	if err != nil {
		return Lease{}, true, err
	}
	defer line.Close()
	if h.V4 {
		return client4{Ask: h.Ask, line: line}.extend(ctx, h.Lease, of)
	}
	return client6{Ask: h.Ask, line: line}.extend(ctx, h.Lease, of)
}

// releaseTime bounds what saying that an address is free may take: a Pod that goes waits for it.
const releaseTime = 500 * time.Millisecond

// Release gives back what an interface has, and forgets it. It must be called while the interface is there, so that the server can be
// told; one that cannot be told finds out when the lease ends. No lease is fine.
func (k *Keeper) Release(ctx context.Context, key ipam.Key) error {
	var errs []error
	for _, v4 := range []bool{true, false} {
		name := nameOf(key, v4)
		k.mu.Lock()
		h := k.held[name]
		if h != nil {
			h.gone = true
			if h.cancel != nil {
				h.cancel()
			}
		}
		k.mu.Unlock()
		if h == nil {
			continue
		}
		if !h.Lost && !h.released {
			k.giveBack(ctx, h)
			h.released = true
		}
		if err := k.Log.Delete(name); err != nil {
			errs = append(errs, fmt.Errorf("forget the lease of %s: %w", key, err))
			continue
		}
		k.mu.Lock()
		delete(k.held, name)
		k.mu.Unlock()
	}
	return errors.Join(errs...)
}

// giveBack tells the server.
func (k *Keeper) giveBack(ctx context.Context, h *holding) {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	line, err := k.Open(ctx, h.Ask, h.V4)
	if err == nil {
		defer line.Close()
		if h.V4 {
			err = client4{Ask: h.Ask, line: line}.release(h.Lease)
		} else {
			err = client6{Ask: h.Ask, line: line}.release(h.Lease)
		}
	}
	log := k.Logger.With("interface", h.Ask.Key, "address", h.Lease.Address, "server", h.Lease.Server)
	if err != nil {
		log.Info("a lease is not given back, it ends by itself", "err", err)
		return
	}
	log.Debug("a lease is given back")
}

// Keys are the interfaces that have leases, or had one and ask for it again.
func (k *Keeper) Keys() []ipam.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	var keys []ipam.Key
	for _, h := range k.held {
		keys = append(keys, h.Ask.Key)
	}
	return keys
}

// Has tells whether an interface has a lease, or had one and asks for it again.
func (k *Keeper) Has(key ipam.Key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[nameOf(key, true)] != nil || k.held[nameOf(key, false)] != nil
}

// nudge lets Run look again when the next lease is due.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
