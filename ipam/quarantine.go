package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Stranger is somebody who is no interface of ours and uses an address.
type Stranger struct {
	// Address, and the domain and pool it is of.
	Address      netip.Addr
	Domain, Pool string
	MAC          string
	// Local: the address is of a Local pool, so that no other node gives it
	// out.
	Local bool
	// Seen is when, Lasts how long from then nobody gets the address.
	Seen  time.Time
	Lasts time.Duration
}

// quarantineKey begins the records of strangers that the API server does not
// know of yet.
const quarantineKey = "q/"

// Quarantine keeps an address from everybody, because a stranger uses it. From
// when it returns the address is not given out again here; an Address object
// that keeps other nodes from it follows as soon as the API server answers,
// and until then the block it lies in is not given back. If an interface here
// holds the address, it should be freed now.
//
// The object is taken away by the controller when the quarantine is over, and
// then the address is free again: whoever gets it looks for strangers anew.
// Who asks for this very address gets it before, and looks as well.
func (a *Allocator) Quarantine(s Stranger) error {
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("render the quarantine of %s: %w", s.Address, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.Log.Put(quarantineKey+objectName(s.Domain, s.Address), value); err != nil {
		return fmt.Errorf("log the quarantine of %s: %w", s.Address, err)
	}
	a.strangers[spot{s.Domain, s.Address}] = &s
	if l := a.space(s.Domain).find(s.Address); l != nil {
		a.shun(l)
		l.touch(time.Now())
		a.space(s.Domain).settle(l)
	}
	a.nudge()
	return nil
}

// QuarantineIdle is Quarantine for an address that no interface was given
// meanwhile: if one was, nothing is done and it is false.
func (a *Allocator) QuarantineIdle(s Stranger) (bool, error) {
	a.mu.Lock()
	l := a.space(s.Domain).find(s.Address)
	idle := l != nil && l.free()&(1<<l.place(s.Address)) != 0
	if idle {
		l.holes |= 1 << l.place(s.Address) // nobody is given it until it is logged
		a.space(s.Domain).settle(l)
	}
	a.mu.Unlock()
	if !idle {
		return false, nil
	}
	return true, a.Quarantine(s)
}

// shun makes holes of the addresses of a lease that strangers use. Called with
// mu held.
func (a *Allocator) shun(l *lease) { l.holes |= a.shunned(l.domain, l.prefix) }

// shunned are the addresses of a block that are in quarantine without the API
// server's knowing, or in use here by an unknown right. Called with mu held.
func (a *Allocator) shunned(domain string, block netip.Prefix) (m uint64) {
	for x := range a.strangers {
		if x.domain == domain && block.Contains(x.addr) {
			m |= 1 << placeIn(block, x.addr)
		}
	}
	for x := range a.strays {
		if block.Contains(x) {
			m |= 1 << placeIn(block, x)
		}
	}
	return m
}

// replayQuarantine reads a record of the log.
func (a *Allocator) replayQuarantine(value []byte) error {
	var s Stranger
	if err := json.Unmarshal(value, &s); err != nil || !s.Address.IsValid() {
		return fmt.Errorf("read an address in quarantine: %w", errors.Join(err, errors.New("it has no address")))
	}
	a.strangers[spot{s.Domain, s.Address}] = &s
	return nil
}

// quarantined are the strangers that the API server is to be told of, always
// in the same order.
func (a *Allocator) quarantined() (all []Stranger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.strangers {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(x, y Stranger) int {
		if c := strings.Compare(x.Domain, y.Domain); c != 0 {
			return c
		}
		return x.Address.Compare(y.Address)
	})
	return all
}

// publish tells the API server of an address in quarantine. The name is locked
// by the caller.
func (a *Allocator) publish(ctx context.Context, s Stranger) error {
	if time.Since(s.Seen) >= s.Lasts {
		return a.acquit(s)
	}
	if s.Local {
		return nil
	}
	name := objectName(s.Domain, s.Address)
	want := Address{Meta: Meta{Name: name}, Domain: s.Domain, Address: s.Address, Pool: s.Pool,
		Quarantine: &Quarantine{MAC: s.MAC, Node: a.Node, Lasts: s.Lasts, Seen: s.Seen}}
	_, err := a.Store.CreateAddress(ctx, want)
	if errors.Is(err, ErrExists) {
		var got Address
		got, err = a.Store.GetAddress(ctx, name)
		switch {
		case err != nil:
			return err // perhaps it has just gone: next time
		case got.Quarantine != nil:
			return a.acquit(s) // kept from others already
		case a.inUse(spot{s.Domain, s.Address}):
			return nil // it is being freed
		case !a.expiring(name, got) && a.covers(spot{s.Domain, s.Address}):
			return nil // somebody asks for it, and is told of the stranger
		case !a.expiring(name, got):
			return a.acquit(s) // somebody's by right
		}
		// Ours, and on its way out: it becomes the quarantine without a moment
		// in between.
		want.Meta = got.Meta
		if _, err = a.Store.UpdateAddress(ctx, want); err == nil {
			err = a.unbound(name)
		}
	}
	if err != nil {
		return err
	}
	return a.acquit(s)
}

// expiring tells whether an Address object is one that this node is about to
// delete, or would be if its interface were freed.
func (a *Allocator) expiring(name string, got Address) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return got.NodeUID == a.NodeUID && got.Claim == (ClaimRef{}) && (a.ending[name] != nil || a.by[spot{got.Domain, got.Address}] != nil)
}

func (a *Allocator) inUse(x spot) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[x] != nil
}

// covers tells whether an address lies in a block of ours.
func (a *Allocator) covers(x spot) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.space(x.domain).find(x.addr) != nil
}

// isShunned tells whether publish deals with an address.
func (a *Allocator) isShunned(x spot) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.strangers[x] != nil
}

// acquit forgets a stranger that the API server knows of, or who is thought to
// be gone. The hole in a block stays until heal sees that there is no object.
func (a *Allocator) acquit(s Stranger) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pardon(s)
}

// reprieve is acquit for an address that was just bound to an interface that
// asked for it: the segment is asked for it again.
func (a *Allocator) reprieve(x spot) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.strangers[x]; s != nil {
		return a.pardon(*s)
	}
	return nil
}

// pardon is acquit with mu held.
func (a *Allocator) pardon(s Stranger) error {
	if err := a.Log.Delete(quarantineKey + objectName(s.Domain, s.Address)); err != nil {
		return fmt.Errorf("log that the quarantine of %s is known: %w", s.Address, err)
	}
	delete(a.strangers, spot{s.Domain, s.Address})
	if l := a.space(s.Domain).find(s.Address); l != nil && l.local {
		l.holes &^= 1 << l.place(s.Address)
		a.space(s.Domain).settle(l)
	}
	return nil
}

// strangerHas refuses a static address that a stranger uses.
func strangerHas(p *Pool, x netip.Addr, mac, node string, until time.Time) error {
	return &Refusal{Reason: Conflict,
		Message: fmt.Sprintf("address %s of pool %s is in quarantine until %s: node %s saw that %s uses it", x, p.Name, until.UTC().Format(time.RFC3339), node, mac),
		Fix:     "find the machine with that MAC and take the address from it, or ask for another address"}
}

// Next is what Take would give of a pool if it were called now, n times. It is
// a guess: others take too. Addresses that are leased one by one are leased
// when they are needed and not before, so they are not in it.
func (a *Allocator) Next(p Pool, n int) (next []netip.Addr) {
	p = p.parsed()
	if len(p.spans) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	type mark struct {
		l     *lease
		place int
	}
	var marks []mark
	s := a.space(p.Domain)
	for len(marks) < n {
		l, place := s.pick(&p, p.Size() <= strictSize)
		if l == nil {
			break
		}
		l.used |= 1 << place
		s.settle(l)
		marks = append(marks, mark{l, place})
		if l.unit > 1 {
			next = append(next, l.at(place))
		}
	}
	for _, m := range marks {
		m.l.used &^= 1 << m.place
		s.settle(m.l)
	}
	return next
}
