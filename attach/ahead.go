package attach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

const (
	// lookAhead is how many of a pool's next addresses the segment is asked for: more than the Pods that a node starts within the
	// time of one question.
	lookAhead = 16
	// mostAhead bounds the questions under way. What is not asked now is asked when it is needed.
	mostAhead = 8
)

// ahead asks segments for addresses before they are needed, beside the ADDs: the interface that was just made asks, because it hears
// what the next one will. So a Pod need not wait for an answer before it gets its address. The addresses that the Pod was given on an
// old answer are asked for once more.
type ahead struct {
	server *Server
	places chan struct{}
	tasks  sync.WaitGroup
}

// wired is told of a sandbox whose interfaces are there. It does not wait.
func (a *ahead) wired(record Record, plan []planned) {
	for i := range plan {
		w := record.Interfaces[i]
		if w.Segment == "" {
			continue
		}
		own, next := a.questions(w, &plan[i])
		if len(own)+len(next) == 0 {
			continue
		}
		select {
		case a.places <- struct{}{}:
			a.tasks.Go(func() {
				defer func() { <-a.places }()
				a.ask(record, w, &plan[i], own, next)
			})
		default:
		}
	}
	a.server.warnOfGateways(record, plan)
}

// questions are the interface's own addresses that were believed to be free, and the next ones of its pools that are not.
func (a *ahead) questions(w kind.Wired, p *planned) (own []netip.Addr, next []question) {
	for _, g := range p.grants {
		x := g.Address.Addr()
		want, pool, managed := p.source(x)
		if managed && pool.Unprobed || g.Shared {
			continue
		}
		if a.server.verdicts.fresh(place{w.Segment, x}) {
			own = append(own, x)
		}
		if !managed || want.Claim != nil {
			continue
		}
		for _, x := range a.server.Addresses.Next(pool, lookAhead) {
			known := func(q question) bool { return q.addr == x }
			if !a.server.verdicts.fresh(place{w.Segment, x}) && !slices.ContainsFunc(next, known) {
				next = append(next, question{x, pool})
			}
		}
	}
	return own, next
}

// question is an address of a pool that is asked for ahead.
type question struct {
	addr netip.Addr
	pool ipam.Pool
}

// strangers leaves out who answered in the sandbox itself: Linux answers for each of its addresses at all of its interfaces, so the second
// interface of a Pod on a segment speaks for the first (arp_ignore in the kernel's ip-sysctl).
func (r Record) strangers(seen []kind.Stranger) []kind.Stranger {
	return slices.DeleteFunc(seen, func(x kind.Stranger) bool {
		return slices.ContainsFunc(slices.Concat(r.Interfaces, r.others), func(w kind.Wired) bool { return strings.EqualFold(w.MAC, x.MAC) })
	})
}

func (a *ahead) ask(record Record, w kind.Wired, p *planned, own []netip.Addr, next []question) {
	s := a.server
	targets := slices.Clone(own)
	for _, q := range next {
		targets = append(targets, q.addr)
	}
	seen, err := s.Wirer.Seek(s.reports.ctx, record.NetNS, w, targets)
	if err != nil { // the sandbox may be gone; whoever needs an answer asks again
		s.Log.Debug("look for strangers ahead", "segment", w.Segment, "err", err)
		return
	}
	strangers := record.strangers(seen)
	for _, q := range next {
		i := slices.IndexFunc(strangers, func(x kind.Stranger) bool { return x.Address == q.addr })
		if i < 0 {
			s.verdicts.note(place{w.Segment, q.addr}, true)
			continue
		}
		a.found(strangers[i], q.pool, w)
	}
	for _, x := range strangers {
		if slices.Contains(own, x.Address) {
			a.late(record, w, p, x)
		}
	}
}

// found keeps an address from Pods that a stranger has, unless it was given to one meanwhile: then that Pod is who answered.
func (a *ahead) found(x kind.Stranger, pool ipam.Pool, w kind.Wired) {
	s := a.server
	idle, err := s.Addresses.QuarantineIdle(strangerOf(x, pool))
	if err != nil {
		s.Log.Warn("an address that a stranger uses is not in quarantine yet", "address", x.Address, "mac", x.MAC, "err", err)
	}
	if idle {
		s.Meter.Stranger(pool.Name, "avoided")
		s.Log.Warn("a stranger uses an address", "address", x.Address, "pool", pool.Name, "segment", w.Segment, "mac", x.MAC)
	}
}

// late tells a Pod of a stranger that came between the last answer and now. The Pod keeps the address: it may be at work already.
func (a *ahead) late(record Record, w kind.Wired, p *planned, x kind.Stranger) {
	s := a.server
	now, ok := s.records.get(record.ContainerID)
	if !ok || now.State != Wired {
		return // it is being taken away, and the address may be another Pod's by now
	}
	_, pool, managed := p.source(x.Address)
	s.verdicts.note(place{w.Segment, x.Address}, false)
	s.Meter.Stranger(pool.Name, "late")
	if managed {
		s.shun(x, pool)
	}
	s.Events.Warn(record.pod(), ipam.Conflict, fmt.Sprintf("a stranger with MAC %s has come to use address %s of interface %s on the segment (%s): both have it now. "+
		"To fix: find the machine with that MAC and take the address from it, or delete the Pod: its replacement gets another", x.MAC, x.Address, w.IfName, w.Segment))
}
