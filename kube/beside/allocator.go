package beside

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Allocator gives out addresses that are booked with whereabouts too, where a network is of its type. While the API server does not
// answer no such address can be given out, as with whereabouts.
type Allocator struct {
	*ipam.Allocator
	Book *Book
	Log  *slog.Logger

	mu sync.Mutex
	// entered are the bookings by interface, as far as this process made them; leaving are those to be ended.
	entered map[ipam.Key][]Entry
	leaving []Entry
	wake    chan struct{}
	// turn keeps a booking that ends from meeting the same one that begins: it is held for reading by who enters.
	turn sync.RWMutex
}

// New makes an Allocator; Run ends bookings.
func New(a *ipam.Allocator, b *Book, log *slog.Logger) *Allocator {
	return &Allocator{Allocator: a, Book: b, Log: log, entered: map[ipam.Key][]Entry{}, wake: make(chan struct{}, 1)}
}

const (
	// mostTries is how many addresses are tried that whereabouts has given out.
	mostTries = 16
	// entering is how long a booking may take.
	entering = 8 * time.Second
	// kept is how long an address that whereabouts has is left alone.
	kept = 2 * time.Minute
	// sweepEvery is how often bookings are looked for that no interface has.
	sweepEvery = time.Minute
)

// Take is ipam's, with each address booked before it is told. One that whereabouts has is left alone for a while and another is taken, or
// refused when no other will do.
func (a *Allocator) Take(ctx context.Context, owner ipam.Owner, wants []ipam.Want) ([]ipam.Grant, error) {
	return a.take(ctx, owner, wants, a.Allocator.Take, func() error { return a.Free(ctx, owner.Key) })
}

// TakeMore is ipam's, booked likewise.
func (a *Allocator) TakeMore(ctx context.Context, owner ipam.Owner, wants []ipam.Want) ([]ipam.Grant, error) {
	before, has := owner, []netip.Addr(nil)
	for _, h := range a.Held() {
		if h.Owner.Key == owner.Key {
			before = h.Owner
			for _, g := range h.Grants {
				has = append(has, g.Address.Addr())
			}
		}
	}
	return a.take(ctx, owner, wants, a.Allocator.TakeMore, func() error { return a.Keep(ctx, before, has) })
}

// take takes, books, and takes back what cannot be booked.
func (a *Allocator) take(ctx context.Context, owner ipam.Owner, wants []ipam.Want, take func(context.Context, ipam.Owner, []ipam.Want) ([]ipam.Grant, error),
	undo func() error) ([]ipam.Grant, error) {
	for range mostTries {
		grants, err := take(ctx, owner, wants)
		if err != nil {
			return nil, err
		}
		again, err := a.enter(ctx, owner, wants, grants)
		if err == nil && !again {
			return grants, nil
		}
		if failed := undo(); failed != nil {
			err = errors.Join(err, failed)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, &ipam.Refusal{Reason: ipam.Unavailable, Message: fmt.Sprintf("whereabouts has given out %d addresses in a row", mostTries), Fix: "it is tried again; tsunagu address import takes them over at once"}
}

// enter books the grants. Again means that one is whereabouts' and others may be tried.
func (a *Allocator) enter(ctx context.Context, owner ipam.Owner, wants []ipam.Want, grants []ipam.Grant) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, entering)
	defer cancel()
	for _, g := range grants {
		x := g.Address.Addr()
		i := slices.IndexFunc(wants, func(w ipam.Want) bool { p, ok := w.From(x); return ok && p.Name == g.Pool && p.Whereabouts != nil })
		if i < 0 {
			continue
		}
		pool, _ := wants[i].From(x)
		e := Entry{Owner: owner, Address: x, Range: pool.Prefix, Of: *pool.Whereabouts}
		a.mu.Lock()
		if !slices.Contains(a.entered[owner.Key], e) {
			a.entered[owner.Key] = append(a.entered[owner.Key], e)
		}
		a.mu.Unlock()
		a.turn.RLock()
		holder, err := a.Book.Enter(ctx, e)
		a.turn.RUnlock()
		switch {
		case err != nil:
			return false, &ipam.Refusal{Reason: ipam.Unavailable, Message: "book address " + x.String() + " with whereabouts: " + err.Error(),
				Fix: "it is tried again; when no node runs whereabouts any more, start the agents without --beside-whereabouts"}
		case holder == "":
			continue
		case wants[i].Static == x || wants[i].Claim != nil:
			return false, &ipam.Refusal{Reason: ipam.Taken, Message: fmt.Sprintf("address %s of range %s is in use by %s, which whereabouts gave it to", x, pool.Prefix, holder),
				Fix: "ask for another address, or delete that Pod"}
		}
		a.Log.Info("whereabouts has given out an address", "address", x, "range", pool.Prefix, "to", holder)
		if err := a.Quarantine(ipam.Stranger{Address: x, Domain: pool.Domain, Pool: pool.Name, MAC: "whereabouts: " + holder, Seen: time.Now(), Lasts: kept}); err != nil {
			return false, err
		}
		again = true
	}
	return again, nil
}

// Free is ipam's; the bookings end beside it.
func (a *Allocator) Free(ctx context.Context, key ipam.Key) error {
	if err := a.Allocator.Free(ctx, key); err != nil {
		return err
	}
	a.unbook(key, nil)
	return nil
}

// Keep is ipam's; the bookings of what goes end beside it.
func (a *Allocator) Keep(ctx context.Context, owner ipam.Owner, addresses []netip.Addr) error {
	if err := a.Allocator.Keep(ctx, owner, addresses); err != nil {
		return err
	}
	a.unbook(owner.Key, addresses)
	return nil
}

// unbook has the bookings of an interface ended, but for those of some addresses.
func (a *Allocator) unbook(key ipam.Key, stay []netip.Addr) {
	a.mu.Lock()
	var kept []Entry
	for _, e := range a.entered[key] {
		if slices.Contains(stay, e.Address) {
			kept = append(kept, e)
		} else {
			a.leaving = append(a.leaving, e)
		}
	}
	if delete(a.entered, key); len(kept) > 0 {
		a.entered[key] = kept
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run ends bookings of interfaces that are gone until ctx ends: those it is told of, and now and then those that an agent made which was
// killed.
func (a *Allocator) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- a.Allocator.Run(ctx) }()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	suspects := map[ipam.Key]bool{}
	look := func() {
		if err := a.sweep(ctx, suspects); err != nil && ctx.Err() == nil {
			a.Log.Warn("look for bookings with whereabouts that nobody needs", "err", err)
		}
	}
	look() // what a killed agent booked is known from here on, and ends with its sandbox
	for {
		select {
		case err := <-done:
			return err
		case <-a.wake:
			a.leave(ctx)
		case <-tick.C:
			a.leave(ctx)
			look()
		}
	}
}

// leave ends what is to be ended. What fails is tried again at the next turn.
func (a *Allocator) leave(ctx context.Context) {
	a.mu.Lock()
	todo := a.leaving
	a.leaving = nil
	a.mu.Unlock()
	var failed []Entry
	for _, e := range todo {
		if err := a.end(ctx, e); err != nil {
			failed = append(failed, e)
		}
	}
	a.mu.Lock()
	a.leaving = append(a.leaving, failed...)
	a.mu.Unlock()
}

// end ends one booking, unless its interface has it again.
func (a *Allocator) end(ctx context.Context, e Entry) error {
	a.turn.Lock()
	defer a.turn.Unlock()
	a.mu.Lock()
	again := slices.ContainsFunc(a.entered[e.Owner.Key], func(o Entry) bool { return o.Address == e.Address && o.Range == e.Range })
	a.mu.Unlock()
	if again {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, entering)
	defer cancel()
	return a.Book.Leave(ctx, e)
}

// mend makes bookings again that somebody else deleted while their interface has the address: the reconciler of whereabouts does so when
// it does not see the network-status of a Pod.
func (a *Allocator) mend(ctx context.Context, written []Entry) error {
	type place struct {
		key ipam.Key
		x   netip.Addr
	}
	there := map[place]bool{}
	for _, e := range written {
		there[place{e.Owner.Key, e.Address}] = true
	}
	var lost []Entry
	a.mu.Lock()
	for key, entered := range a.entered {
		for _, e := range entered {
			if !there[place{key, e.Address}] {
				lost = append(lost, e)
			}
		}
	}
	a.mu.Unlock()
	var errs []error
	for _, e := range lost {
		errs = append(errs, a.again(ctx, e))
	}
	return errors.Join(errs...)
}

// again books once more what an interface still has.
func (a *Allocator) again(ctx context.Context, e Entry) error {
	a.turn.RLock()
	defer a.turn.RUnlock()
	a.mu.Lock()
	has := slices.Contains(a.entered[e.Owner.Key], e)
	a.mu.Unlock()
	if !has {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, entering)
	defer cancel()
	holder, err := a.Book.Enter(ctx, e)
	if holder != "" {
		return fmt.Errorf("address %s of Pod %s/%s was freed in whereabouts and given to %s: delete one of the two Pods", e.Address, e.Owner.Namespace, e.Owner.Pod, holder)
	}
	return err
}

func (a *Allocator) keys() map[ipam.Key]bool {
	held := map[ipam.Key]bool{}
	for _, h := range a.Held() {
		held[h.Owner.Key] = true
	}
	return held
}

// adopt takes over the bookings that an agent before this one made for interfaces that are there.
func (a *Allocator) adopt(entries []Entry, held map[ipam.Key]bool) {
	var taken []ipam.Key
	a.mu.Lock()
	for _, e := range entries {
		key := e.Owner.Key
		if known := slices.ContainsFunc(a.entered[key], func(o Entry) bool { return o.Address == e.Address }); held[key] && !known {
			a.entered[key] = append(a.entered[key], e)
			taken = append(taken, key)
		}
	}
	a.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	// An interface that was freed since held was read has no Free to come.
	now := a.keys()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range taken {
		if !now[key] {
			a.leaving = append(a.leaving, a.entered[key]...)
			delete(a.entered, key)
		}
	}
}

// sweep ends bookings of this node that no interface had at two looks, and mends those that are lost.
func (a *Allocator) sweep(ctx context.Context, suspects map[ipam.Key]bool) error {
	entries, err := a.Book.Entries(ctx)
	if err != nil {
		return err
	}
	held := a.keys()
	a.adopt(entries, held)
	errs := []error{a.mend(ctx, entries)}
	seen := map[ipam.Key]bool{}
	for _, e := range entries {
		key := e.Owner.Key
		a.mu.Lock()
		busy := len(a.entered[key]) > 0
		a.mu.Unlock()
		if held[key] || busy {
			continue
		}
		if seen[key] = true; suspects[key] {
			errs = append(errs, a.end(ctx, e))
		}
	}
	clear(suspects)
	for key := range seen {
		suspects[key] = true
	}
	return errors.Join(errs...)
}
