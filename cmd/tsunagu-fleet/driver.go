package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// side is a system that gives addresses to interfaces of Pods on nodes.
type side interface {
	// pool makes a pool.
	pool(ctx context.Context, name, cidr string) error
	// add and del are the CNI calls for one Pod with one interface on a pool. An ADD may ask for an address.
	add(ctx context.Context, p pod, ip string) error
	del(ctx context.Context, p pod) error
	// uses is who had which address when, as the interfaces had them.
	uses() *oracle.History
	// allocated is what the API server says.
	allocated(ctx context.Context) ([]oracle.Use, error)
	// fill makes a pool look as if Pods of elsewhere had its lowest addresses, where calls would take too long; false: it takes calls.
	fill(ctx context.Context, pool string, count int) (bool, error)
	// reset removes pools and what is kept of them; no interface is left.
	reset(ctx context.Context) error
}

// pod is a Pod on a node (counted from 0) with an interface on a pool.
type pod struct {
	name, pool string
	node       int
}

// refusal is an error of a CNI call with its class.
type refusal struct{ reason, message string }

func (r *refusal) Error() string { return r.reason + ": " + r.message }

// driver loads one side.
type driver struct {
	side
	nodes int
	named atomic.Int64
	mu    sync.Mutex
	held  map[string][]pod // by pool
}

func newDriver(s side, nodes int) *driver {
	return &driver{side: s, nodes: nodes, held: map[string][]pod{}}
}

// carryOut does what an order says:
//
//	pool    makes a pool
//	add     adds Count interfaces, Flight at a time, and keeps them
//	del     deletes Count of those that are kept (0: all), the ones that were added first, or those of a Node
//	fill    is add, by a shorter way if the side has one
//	live    adds and deletes again, Flight at a time, for Count times or Seconds
//	turn    deletes one that is kept and adds another, likewise
//	open    begins Rate lives a second for Seconds, whatever becomes of the ones before; times count from when one was due
//	race    asks for each of IPs from Flight nodes at once and keeps who wins
//	wait    repeats one ADD until it succeeds or Seconds are over; its time is that of all attempts
//	recover deletes one that is kept while another waits as above, Count times; "recover" is from the DEL to the address
//	rest    collects the garbage of all nodes, so that this does not fall into what is measured next, and lets Seconds pass
//	settle  waits until the API server knows what is held, and asks the oracle
//	reset   deletes all that is kept and all pools
func (d *driver) carryOut(ctx context.Context, q order) (answer, error) {
	t := &tally{calls: map[string]*calls{}}
	began := time.Now()
	var err error
	a := answer{Word: q.Do}
	switch q.Do {
	case "pool":
		err = d.pool(ctx, q.Pool, q.CIDR)
	case "add":
		d.each(q, func(i int) { d.keep(ctx, t, d.newPod(q, i), q.ip(i)) })
	case "fill":
		var done bool
		if done, err = d.fill(ctx, q.Pool, q.Count); err == nil && !done {
			d.each(q, func(i int) { d.keep(ctx, t, d.newPod(q, i), "") })
		}
	case "del":
		all := d.release(q)
		q.Count = len(all)
		d.each(q, func(i int) { d.drop(ctx, t, all[i]) })
	case "live":
		d.each(q, func(i int) { d.live(ctx, t, d.newPod(q, i), time.Now()) })
	case "turn":
		d.each(q, func(i int) { d.turn(ctx, t, q, i) })
	case "open":
		d.open(ctx, t, q)
	case "race":
		d.race(ctx, t, q)
	case "wait":
		d.wait(ctx, t, q)
	case "recover":
		for i := range q.Count {
			d.recover(ctx, t, q, i)
		}
	case "rest":
		runtime.GC()
		time.Sleep(q.duration())
	case "settle":
		a.Duplicates, a.Leaks, err = d.settle(ctx, q.duration())
	case "reset":
		for pool := range d.held {
			all := d.release(order{Pool: pool})
			d.each(order{Count: len(all), Flight: q.Flight}, func(i int) { d.drop(ctx, t, all[i]) })
		}
		err = d.reset(ctx)
	default:
		err = fmt.Errorf("order %q is not known", q.Do)
	}
	a.WallMS, a.Calls, a.Lives = float64(time.Since(began).Microseconds())/1000, t.calls, t.lives
	d.mu.Lock()
	a.Held = len(d.held[q.Pool])
	d.mu.Unlock()
	return a, err
}

func (q order) ip(i int) string {
	if len(q.IPs) == 0 {
		return ""
	}
	return q.IPs[i%len(q.IPs)]
}

// each calls do for 0 … Count-1, or until the time is over, Flight at a time.
func (d *driver) each(q order, do func(int)) {
	var next atomic.Int64
	var crew sync.WaitGroup
	end := time.Now().Add(q.duration())
	for range max(q.Flight, 1) {
		crew.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if q.Seconds > 0 && time.Now().After(end) || q.Seconds == 0 && i >= q.Count {
					return
				}
				do(i)
			}
		})
	}
	crew.Wait()
}

func (d *driver) newPod(q order, i int) pod {
	node := i % d.nodes
	if q.Node > 0 {
		node = q.Node - 1
	}
	return pod{name: fmt.Sprintf("%s-%d", q.Pool, d.named.Add(1)), pool: q.Pool, node: node}
}

// keep adds and keeps.
func (d *driver) keep(ctx context.Context, t *tally, p pod, ip string) bool {
	began := time.Now()
	err := d.add(ctx, p, ip)
	t.note("ADD", began, err)
	if err != nil {
		_ = d.del(ctx, p) // as a runtime does it
		return false
	}
	d.mu.Lock()
	d.held[p.pool] = append(d.held[p.pool], p)
	d.mu.Unlock()
	return true
}

func (d *driver) drop(ctx context.Context, t *tally, p pod) {
	began := time.Now()
	t.note("DEL", began, d.del(ctx, p))
}

// live adds and deletes. The ADD's time counts from when it was due.
func (d *driver) live(ctx context.Context, t *tally, p pod, due time.Time) {
	err := d.add(ctx, p, "")
	t.note("ADD", due, err)
	d.drop(ctx, t, p)
	if err == nil {
		t.lived()
	}
}

// turn replaces one that is kept.
func (d *driver) turn(ctx context.Context, t *tally, q order, i int) {
	d.mu.Lock()
	all := d.held[q.Pool]
	if len(all) == 0 {
		d.mu.Unlock()
		d.keep(ctx, t, d.newPod(q, i), "")
		return
	}
	at := rand.IntN(len(all))
	old := all[at]
	all[at] = all[len(all)-1]
	d.held[q.Pool] = all[:len(all)-1]
	d.mu.Unlock()
	d.drop(ctx, t, old)
	if d.keep(ctx, t, d.newPod(q, i), "") {
		t.lived()
	}
}

// release takes out of what is kept what an order names.
func (d *driver) release(q order) []pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []pod
	d.held[q.Pool] = slices.DeleteFunc(d.held[q.Pool], func(p pod) bool {
		if q.Count > 0 && len(out) == q.Count || q.Node > 0 && p.node != q.Node-1 {
			return false
		}
		out = append(out, p)
		return true
	})
	return out
}

// open is an open loop: it does not wait for answers, so a system that is slow does not get less to do (coordinated omission).
func (d *driver) open(ctx context.Context, t *tally, q order) {
	var lives sync.WaitGroup
	defer lives.Wait()
	began, n := time.Now(), int(q.Rate*q.Seconds)
	for i := range n {
		due := began.Add(time.Duration(float64(i) / q.Rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		lives.Go(func() { d.live(ctx, t, d.newPod(q, i), due) })
	}
}

// race lets nodes ask for one address at the same moment.
func (d *driver) race(ctx context.Context, t *tally, q order) {
	for _, ip := range q.IPs {
		var crew sync.WaitGroup
		for i := range q.Flight {
			crew.Go(func() { d.keep(ctx, t, d.newPod(q, i), ip) })
		}
		crew.Wait()
	}
}

// wait is a Pod that waits for an address: the runtime repeats its ADD.
func (d *driver) wait(ctx context.Context, t *tally, q order) {
	p, began := d.newPod(q, 0), time.Now()
	for {
		err := d.add(ctx, p, "")
		if err == nil || time.Since(began) > q.duration() {
			t.note("ADD", began, err)
			if err == nil {
				d.mu.Lock()
				d.held[p.pool] = append(d.held[p.pool], p)
				d.mu.Unlock()
			}
			return
		}
		_ = d.del(ctx, p)
		time.Sleep(50 * time.Millisecond)
	}
}

// recover is a full pool of which one address becomes free: how long until the Pod that waits has it.
func (d *driver) recover(ctx context.Context, t *tally, q order, i int) {
	gone := d.release(order{Pool: q.Pool, Count: 1})
	if len(gone) == 0 {
		return
	}
	waited, own := make(chan error), &tally{calls: map[string]*calls{}}
	go func() {
		q := q
		q.Node = (gone[0].node+1+i)%d.nodes + 1
		d.wait(ctx, own, q)
		var err error
		if c := own.calls["ADD"]; c.OK == 0 {
			err = &refusal{"NotRecovered", c.First[0]}
		}
		waited <- err
	}()
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	d.drop(ctx, t, gone[0])
	err := <-waited
	t.note("recover", began, err)
}

// settle asks the oracle when the API server knows what is held, or when time is over.
func (d *driver) settle(ctx context.Context, most time.Duration) (duplicates, leaks []string, err error) {
	for _, x := range d.uses().Duplicates() {
		duplicates = append(duplicates, x.String())
	}
	for end := time.Now().Add(most); ; time.Sleep(250 * time.Millisecond) {
		allocated, err := d.allocated(ctx)
		if err != nil {
			return duplicates, nil, err
		}
		found := oracle.Settled(allocated, d.uses().Live())
		if len(found) == 0 || time.Now().After(end) {
			for _, l := range found {
				leaks = append(leaks, l.String())
			}
			return duplicates, leaks, nil
		}
	}
}

// tally collects calls from many goroutines.
type tally struct {
	mu    sync.Mutex
	calls map[string]*calls
	lives int
}

func (t *tally) lived() {
	t.mu.Lock()
	t.lives++
	t.mu.Unlock()
}

func (t *tally) note(verb string, began time.Time, err error) {
	took := time.Since(began).Microseconds()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.calls[verb]
	if c == nil {
		c = &calls{Failed: map[string]int{}}
		t.calls[verb] = c
	}
	if err == nil {
		c.OK++
		c.Micros = append(c.Micros, took)
		return
	}
	reason := "Error"
	var r *refusal
	if errors.As(err, &r) {
		reason = r.reason
	}
	c.Failed[reason]++
	c.Refuse = append(c.Refuse, took)
	if len(c.First) < 3 {
		c.First = append(c.First, err.Error())
	}
}
