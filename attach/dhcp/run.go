package dhcp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Run keeps the leases until the context ends, which is not an error: they stay in the log, and the next Run goes on with them.
func (k *Keeper) Run(ctx context.Context, f Follower) error {
	var steps sync.WaitGroup
	defer steps.Wait()
	for {
		wait := k.startDue(ctx, f, &steps)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-k.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// startDue starts what is due, and tells how long nothing else is.
func (k *Keeper) startDue(ctx context.Context, f Follower, steps *sync.WaitGroup) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, wait := k.Now(), time.Hour
	for _, h := range k.held {
		if h.cancel != nil || h.gone {
			continue
		}
		if h.next > now {
			wait = min(wait, h.next-now)
			continue
		}
		own, cancel := context.WithCancel(ctx)
		h.cancel = cancel
		steps.Go(func() {
			defer cancel()
			select {
			case k.slots <- struct{}{}:
				defer func() { <-k.slots }()
			case <-own.Done():
			}
			k.work(own, f, h)
		})
	}
	return wait
}

// work does what is due about a lease until nothing is.
func (k *Keeper) work(ctx context.Context, f Follower, h *holding) {
	for ctx.Err() == nil {
		k.step(ctx, f, h)
		k.mu.Lock()
		again := !h.gone && h.next <= k.Now()
		k.mu.Unlock()
		if !again {
			break
		}
	}
	k.mu.Lock()
	h.cancel = nil
	k.mu.Unlock()
	k.nudge()
}

func (k *Keeper) step(ctx context.Context, f Follower, h *holding) {
	passed := k.Now() - h.Since
	switch of := h.Lease.stageAt(passed); {
	case h.Untold:
		k.tell(ctx, f, h)
	case h.Lost:
		k.again(ctx, h)
	case of == expired:
		k.lose(h, fmt.Sprintf("its lease of %s has ended, server %s did not renew it", h.Lease.Address.Addr(), h.Lease.Server))
	case of == bound:
		k.change(h, func() { h.next = h.due(h.Lease.Renew) })
	default:
		k.goOn(ctx, h, of)
	}
}

// change changes a holding, unless it was released meanwhile.
func (k *Keeper) change(h *holding, how func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.gone {
		return false
	}
	how()
	return true
}

// put changes a record and writes it down. What cannot be written down is true all the same: after a crash the log has an older lease,
// which the server confirms or refuses.
func (k *Keeper) put(h *holding, how func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.gone {
		return
	}
	how()
	if err := k.write(h); err != nil {
		k.Logger.Error("DHCP", "err", err)
	}
}

// goOn renews or rebinds.
func (k *Keeper) goOn(ctx context.Context, h *holding, of stage) {
	got, ok, err := k.extend(ctx, h.record, of)
	log := k.Logger.With("interface", h.Ask.Key, "address", h.Lease.Address, "server", h.Lease.Server)
	switch {
	case err == nil && !ok:
		k.lose(h, fmt.Sprintf("server %s does not let it keep %s", got.Server, h.Lease.Address.Addr()))
	case err == nil:
		changed := !got.same(h.Lease)
		log.Debug("a lease is renewed", "until", got.Expire, "changed", changed)
		k.put(h, func() {
			if h.Lease = got; changed {
				h.Untold, h.Why = true, ""
			}
			h.begin(k.Now())
			if changed {
				h.next = k.Now()
			}
		})
	default:
		if !errors.Is(err, errSilent) && ctx.Err() == nil {
			log.Info("a lease is renewed later", "err", err)
		}
		k.change(h, func() {
			h.next = h.due(h.Lease.next(k.Now() - h.Since))
			if errors.Is(err, netns.ErrGone) { // its sandbox is on its way out
				h.next = k.Now() + time.Minute
			}
		})
	}
}

// lose ends the use of an address.
func (k *Keeper) lose(h *holding, why string) {
	k.Logger.Warn("a lease is lost", "interface", h.Ask.Key, "why", why)
	k.put(h, func() { h.Lost, h.Untold, h.Why, h.next, h.tries = true, true, why, k.Now(), 0 })
}

// again asks for an address in place of one that is lost: for the same if the server lets us.
func (k *Keeper) again(ctx context.Context, h *holding) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := k.acquire(ctx, h.Ask, h.V4, h.Lease.Address.Addr())
	if err != nil {
		k.change(h, func() {
			h.tries++
			h.next = k.Now() + min(time.Second<<min(h.tries, 6), time.Minute)
		})
		return
	}
	k.put(h, func() {
		h.Lease, h.Untold, h.Why = got, true, ""
		h.begin(k.Now())
		h.next = k.Now()
	})
}

// tell tells the follower.
func (k *Keeper) tell(ctx context.Context, f Follower, h *holding) {
	k.mu.Lock()
	why := h.Why
	var leases []Lease
	for _, v4 := range []bool{true, false} {
		if one := k.held[nameOf(h.Ask.Key, v4)]; one != nil && !one.Lost {
			leases = append(leases, one.Lease)
		}
	}
	k.mu.Unlock()
	if err := f.Follow(ctx, h.Ask, leases, why); err != nil {
		if ctx.Err() == nil {
			k.Logger.Warn("an interface has not what its lease says yet", "interface", h.Ask.Key, "err", err)
		}
		k.change(h, func() { h.next = k.Now() + 2*time.Second })
		return
	}
	k.put(h, func() {
		h.Untold, h.Why = false, ""
		if h.next = k.Now(); !h.Lost {
			h.next = h.due(h.Lease.Renew)
		}
	})
}

// Held describes the leases, for people and in order.
func (k *Keeper) Held() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, h := range k.held {
		words := []string{h.Ask.Key.IfName, h.Ask.Network, h.Lease.Address.String(), "of", h.Lease.Server.String(), "since", h.Wall.Format(time.RFC3339)}
		if h.Lost {
			words = append(words, "lost")
		}
		all = append(all, strings.Join(words, " "))
	}
	slices.Sort(all)
	return all
}
