package ipam

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// standing says what may be done with a lease.
type standing uint8

const (
	// unconfirmed: the block is ours, but who has static addresses in it is
	// not known yet. Nothing of it is given out.
	unconfirmed standing = iota
	// owned: addresses of it are given out.
	owned
	// leaving: the delete may have been sent. Nothing of it is used, ever.
	leaving
	// lost: the object is gone, or was. Nothing is given out until it is
	// claimed again for the addresses in use.
	lost
)

// lease is a block of this node, in memory. Bitmaps have the block's first
// address in the lowest bit.
type lease struct {
	domain   string
	prefix   netip.Prefix
	uid      string
	standing standing
	local    bool // of a Local pool: there is no object
	unit     uint8

	// resting are addresses that were given back and are not given out yet.
	used, holes, resting uint64
	cut                  uint64 // holes made since a heal listed what is bound
	// healRest is how long after a heal that found all holes bound the next
	// one is due, at healAt: holes of claims stay for long.
	healRest time.Duration
	healAt   time.Time
	told     uint64 // the object's used
	// order is the addresses that were given back, longest ago first.
	order []given

	idle      time.Time // since when nothing was used
	changed   time.Time // since when the object's counts are old; zero: they are right
	requested bool      // somebody asks for an address of it
	served    bool      // an address of it was used once
}

func newLease(domain string, prefix netip.Prefix, uid string, s standing, now time.Time) *lease {
	return &lease{domain: domain, prefix: prefix, uid: uid, standing: s, unit: uint8(unitOf(prefix)), idle: now}
}

func (l *lease) name() string { return objectName(l.domain, l.prefix.Addr()) }

func (l *lease) start() netip.Addr { return l.prefix.Addr() }

func (l *lease) all() uint64 { return ^uint64(0) >> (mostUnit - l.unit) }

// free are the addresses that may be given out.
func (l *lease) free() uint64 {
	return l.owned() &^ l.resting
}

// owned are the addresses that nobody uses and that are ours to give.
func (l *lease) owned() uint64 {
	if l.standing != owned {
		return 0
	}
	return l.all() &^ (l.used | l.holes)
}

// hidden tells whether the object says that nothing is free, and that is no
// longer so: nobody who looks for an address would ask for one.
func (l *lease) hidden() bool {
	return !l.local && l.unit > 1 && l.free() != 0 && l.all()&^(l.told|l.holes) == 0
}

func (l *lease) place(a netip.Addr) int { return lowByte(a) - lowByte(l.prefix.Addr()) }

func (l *lease) at(place int) netip.Addr { return plus(l.prefix.Addr(), place) }

// open are the addresses that are given to who asks for them by number: those
// that rest are among them.
func (l *lease) open() uint64 { return l.free() | l.resting&l.owned() }

// choose picks one of the addresses in m, which are free: the lowest, or, when
// not strict, one that was never given out, else the one given back longest
// ago.
func (l *lease) choose(m uint64, strict bool) int {
	if !strict {
		if i := l.longest(m); i >= 0 && m&^l.given() == 0 {
			return int(l.order[i].place)
		}
		if fresh := m &^ l.given(); fresh != 0 {
			m = fresh
		}
	}
	return bits.TrailingZeros64(m)
}

// given are the addresses that were used before.
func (l *lease) given() (m uint64) {
	for _, g := range l.order {
		m |= 1 << g.place
	}
	return m
}

// longest is the place in order of the address in m that was given back longest
// ago, or -1.
func (l *lease) longest(m uint64) int {
	for i, g := range l.order {
		if m&(1<<g.place) != 0 {
			return i
		}
	}
	return -1
}

// until is when an address has rested.
func (l *lease) until(place int) time.Time {
	for _, g := range l.order {
		if int(g.place) == place {
			return g.until
		}
	}
	return time.Time{}
}

// cutOut makes holes of the addresses that are bound by objects, except those
// in use here: whoever binds such a one waits for our answer.
func (l *lease) cutOut(bound []Address) {
	for _, x := range bound {
		if l.prefix.Contains(x.Address) {
			l.holes |= 1 << l.place(x.Address) &^ l.used
		}
	}
}

// cutAt makes a hole that a heal under way leaves alone: what it has listed may
// be older.
func (l *lease) cutAt(place int) {
	l.holes |= 1 << place
	l.cut |= 1 << place
	l.healRest, l.healAt = 0, time.Time{}
}

// take marks an address as used.
func (l *lease) take(place int, now time.Time) {
	l.used |= 1 << place
	l.resting &^= 1 << place
	l.unlist(place)
	l.touch(now)
}

// unlist takes an address out of order.
func (l *lease) unlist(place int) {
	l.order = slices.DeleteFunc(l.order, func(g given) bool { return int(g.place) == place })
}

// give takes the mark off.
func (l *lease) give(place int, now time.Time) {
	l.used &^= 1 << place
	l.served = true
	l.unlist(place)
	l.order = append(l.order, given{place: uint8(place), at: now})
	if l.used == 0 {
		l.idle = now
	}
	l.touch(now)
}

func (l *lease) touch(now time.Time) {
	if l.changed.IsZero() && !l.local {
		l.changed = now
	}
}
