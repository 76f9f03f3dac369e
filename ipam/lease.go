package ipam

import (
	"math/bits"
	"net/netip"
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

	used, holes uint64
	// order is the addresses that were given back, longest ago first.
	order []uint8

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
	if l.standing != owned {
		return 0
	}
	return l.all() &^ (l.used | l.holes)
}

func (l *lease) place(a netip.Addr) int { return lowByte(a) - lowByte(l.prefix.Addr()) }

func (l *lease) at(place int) netip.Addr { return plus(l.prefix.Addr(), place) }

// choose picks one of the addresses in m, which are free: the lowest, or, when
// not strict, one that was never given out, else the one given back longest
// ago.
func (l *lease) choose(m uint64, strict bool) int {
	if strict || len(l.order) == 0 {
		return bits.TrailingZeros64(m)
	}
	fresh := m
	for _, place := range l.order {
		fresh &^= 1 << place
	}
	if fresh != 0 {
		return bits.TrailingZeros64(fresh)
	}
	for _, place := range l.order {
		if m&(1<<place) != 0 {
			return int(place)
		}
	}
	return bits.TrailingZeros64(m)
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

// take marks an address as used.
func (l *lease) take(place int, now time.Time) {
	l.used |= 1 << place
	for i, p := range l.order {
		if int(p) == place {
			l.order = append(l.order[:i], l.order[i+1:]...)
			break
		}
	}
	l.touch(now)
}

// give takes the mark off.
func (l *lease) give(place int, now time.Time) {
	l.used &^= 1 << place
	l.served = true
	l.order = append(l.order, uint8(place))
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
