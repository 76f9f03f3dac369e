package ipam

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// given is an address of a lease that was used once: when it was given back,
// and until when it rests.
type given struct {
	place uint8
	at    time.Time
	until time.Time
}

// nap is an address that is not given out to who takes any until it is time.
type nap struct {
	spot
	until time.Time
}

// naps are in the order in which they end (container/heap).
type naps []nap

func (r naps) Len() int           { return len(r) }
func (r naps) Less(i, j int) bool { return r[i].until.Before(r[j].until) }
func (r naps) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *naps) Push(x any)        { *r = append(*r, x.(nap)) }
func (r *naps) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// restKey begins the log's keys of addresses that rest.
const restKey = "r/"

// restRecord is an address that rests in the log. The end is by the wall clock
// of this node: a process that starts knows no other. A clock that jumps makes
// a rest shorter, or longer by no more than mostRest.
type restRecord struct {
	Domain  string     `json:"d"`
	Address netip.Addr `json:"a"`
	Until   int64      `json:"u"` // milliseconds since 1970
}

// mostRest is the longest cooldown that a pool may have.
const mostRest = 24 * time.Hour

// restOf is how long an address rests when it is given back.
func (p *Pool) restOf() time.Duration { return min(p.Cooldown, mostRest) }

// logRest notes that an address is going to rest, before it is free. Called
// with mu held.
func (a *Allocator) logRest(s *slot, now time.Time) error {
	value, err := json.Marshal(restRecord{s.domain, s.Address.Addr(), now.Add(s.rest).UnixMilli()})
	if err != nil {
		return err
	}
	if err := a.Log.Put(restKey+objectName(s.domain, s.Address.Addr()), value); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// sleep lets an address of a lease rest. Called with mu held.
func (a *Allocator) sleep(l *lease, place int, until time.Time) {
	l.resting |= 1 << place
	for i := range l.order {
		if int(l.order[i].place) == place {
			l.order[i].until = until
		}
	}
	heap.Push(&a.naps, nap{spot{l.domain, l.at(place)}, until})
}

// wake gives out again what has rested. Called with mu held.
func (a *Allocator) wake(now time.Time) {
	for len(a.naps) > 0 && !now.Before(a.naps[0].until) {
		r := heap.Pop(&a.naps).(nap)
		name := objectName(r.domain, r.addr)
		sp := a.space(r.domain)
		l := sp.find(r.addr)
		if l != nil && l.resting&(1<<l.place(r.addr)) != 0 {
			if l.until(l.place(r.addr)).After(now) {
				continue // it was used and given back again
			}
			l.resting &^= 1 << l.place(r.addr)
			sp.settle(l)
			if l.used|l.resting == 0 && l.unit == 1 {
				a.nudge()
			}
		}
		if err := a.Log.Delete(restKey + name); err != nil {
			a.Logger.Warn("log keeps an address that has rested", "address", name, "error", err)
		}
	}
}

// replayRest reads an address that rests from the log.
func (a *Allocator) replayRest(value []byte, now time.Time) error {
	var r restRecord
	if err := json.Unmarshal(value, &r); err != nil || !r.Address.IsValid() {
		return fmt.Errorf("read an address that rests: %w", err)
	}
	left := min(time.UnixMilli(r.Until).Sub(now), mostRest)
	heap.Push(&a.naps, nap{spot{r.Domain, r.Address}, now.Add(left)})
	return nil
}

// rested lets those addresses of a lease rest that rested before a crash.
// Called with mu held.
func (a *Allocator) rested(l *lease, now time.Time) {
	for _, r := range a.naps {
		if r.domain == l.domain && l.prefix.Contains(r.addr) && r.until.After(now) && l.used&(1<<l.place(r.addr)) == 0 {
			place := l.place(r.addr)
			l.resting |= 1 << place
			l.order = append(l.order, given{uint8(place), now, r.until})
		}
	}
}

// cooldown is how long an address rests by the pools that are known here.
// Called with mu held.
func (a *Allocator) cooldown(x spot) (d time.Duration) {
	for key, s := range a.pools {
		if key.domain == x.domain && s.pool.Prefix.Contains(x.addr) {
			d = max(d, s.pool.restOf())
		}
	}
	return d
}
