package ipam

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// request is a want that a Take works on.
type request struct {
	Want
	// at is the pool that is tried: 0 is Pool, then the alternatives.
	at int
	// full are the refusals of the pools before that one.
	full []*Refusal
	// right is what was got for it at the API server, token likewise what an
	// address of the pool costs; spent are tokens of the pools before.
	right, token slot
	spent        []slot
	lacksToken   bool
}

// newRequests checks wants; shared tells whether one needs the API server.
func newRequests(wants []Want) (requests []request, shared bool, err error) {
	requests = make([]request, len(wants))
	for i, w := range wants {
		w.Alternatives = slices.Clone(w.Alternatives)
		for p := range w.pools() {
			*p = p.parsed()
		}
		if err := check(&w); err != nil {
			return nil, false, err
		}
		for p := range w.pools() {
			shared = shared || !p.Local
		}
		for k := range requests[:i] {
			if o := &requests[k]; w.Static.IsValid() && o.Static == w.Static && o.Pool.Domain == w.Pool.Domain {
				return nil, false, bad("address "+w.Static.String()+" is asked for twice for one interface", "ask for it once")
			}
		}
		requests[i].Want = w
	}
	return requests, shared, nil
}

// check refuses what can never be given.
func check(w *Want) error {
	for p := range w.pools() {
		if !p.Prefix.IsValid() || p.Domain == "" {
			return bad("pool "+p.Name+" has no subnet", "correct the pool")
		}
	}
	if w.Static.IsValid() {
		w.Static = w.Static.Unmap()
		w.Pool, w.Alternatives = *w.that(w.Static), nil
		return w.Pool.Refuse(w.Static)
	}
	for i := 0; len(w.Pool.spans) == 0 && w.Claim == nil; i++ {
		if len(w.Alternatives) == 0 {
			return noneToGive(&w.Pool)
		}
		w.Pool, w.Alternatives = w.Alternatives[0], w.Alternatives[1:]
	}
	w.Alternatives = slices.DeleteFunc(w.Alternatives, func(p Pool) bool { return len(p.spans) == 0 })
	return nil
}

func noneToGive(p *Pool) error {
	return &Refusal{Reason: PoolFull, Message: "pool " + p.Name + " has no address to give to who asks for none: its ranges, less gateway, exclude and staticRanges, are empty", Fix: "make its ranges larger, or ask for an address of its staticRanges"}
}

// pool is the one that is tried now.
func (r *request) pool() *Pool {
	if r.at == 0 {
		return &r.Pool
	}
	return &r.Alternatives[r.at-1]
}

// next turns to the next pool if err says that this one is full. Else it
// returns what the Take is refused with, if err is an error.
func (r *request) next(err error) (bool, error) {
	var full *Refusal
	if !errors.As(err, &full) || full.Reason != PoolFull {
		return false, err
	}
	r.full = append(r.full, full)
	if r.at < len(r.Alternatives) {
		r.at++
		r.spent, r.token = append(r.spent, r.token), slot{}
		return true, nil
	}
	return false, allFull(r.full)
}

// allFull is the refusal of pools that were tried in turn.
func allFull(each []*Refusal) *Refusal {
	if len(each) == 1 {
		return each[0]
	}
	all := Refusal{Reason: PoolFull, Fix: "delete Pods that have addresses of them, or make the ranges of one larger"}
	var words []string
	for _, r := range each {
		words = append(words, r.Message)
	}
	all.Message = strings.Join(words, "; and ")
	return &all
}

// fullFor is how long a pool that was found full is passed over by takes that
// have another to turn to.
const fullFor = time.Second

// isFull remembers that a pool was found full.
func (a *Allocator) isFull(p *Pool, err error) {
	var r *Refusal
	if !errors.As(err, &r) || r.Reason != PoolFull {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.state(*p)
	s.full, s.fullUntil = r, time.Now().Add(fullFor)
}

// wasFull is the refusal of a pool that was found full a moment ago, or nil.
// Called with mu held.
func (a *Allocator) wasFull(p *Pool) error {
	s := a.pools[poolKey{p.Domain, p.Name}]
	if s == nil || s.full == nil || time.Now().After(s.fullUntil) {
		return nil
	}
	return s.full
}
