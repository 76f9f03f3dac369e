package ipam

import (
	"iter"
	"net/netip"
)

// Key is one interface of one sandbox.
type Key struct{ ContainerID, IfName string }

func (k Key) String() string { return k.ContainerID + "/" + k.IfName }

// Owner is the interface that addresses are given to, and whose it is.
type Owner struct {
	Key
	Namespace, Pod, UID, Network string
}

// Want is one address to take: any of Pool, or Static.
type Want struct {
	Pool   Pool
	Static netip.Addr
	// Alternatives are pools of the same address family that are tried in
	// turn when Pool is full. Static is taken of the one that has it.
	Alternatives []Pool
	// Claim is whose the address is; nil for nobody's. It is the same for all
	// wants of an interface that have one.
	Claim *Claiming
}

// pools goes through the pool and its alternatives.
func (w *Want) pools() iter.Seq[*Pool] {
	return func(yield func(*Pool) bool) {
		if !yield(&w.Pool) {
			return
		}
		for i := range w.Alternatives {
			if !yield(&w.Alternatives[i]) {
				return
			}
		}
	}
}

// fits tells whether an address is one that would be given for the want.
func (w *Want) fits(domain string, x netip.Addr) bool {
	for p := range w.pools() {
		if p.Domain == domain && p.Prefix.Contains(x) {
			return !w.Static.IsValid() || w.Static == x
		}
	}
	return false
}

// that is the pool which gives out an address, else the one whose subnet has
// it, else the first.
func (w *Want) that(x netip.Addr) *Pool {
	near := &w.Pool
	for p := range w.pools() {
		if p.Contains(x) {
			return p
		}
		if p.Prefix.Contains(x) && !near.Prefix.Contains(x) {
			near = p
		}
	}
	return near
}

// From is the pool that gave an address for the want, if one may have.
func (w *Want) From(x netip.Addr) (Pool, bool) {
	p := w.that(x)
	return *p, p.Prefix.Contains(x)
}

// Holding is what an interface has.
type Holding struct {
	Owner  Owner
	Grants []Grant
}
