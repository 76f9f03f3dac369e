package attach

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

const (
	// fresh is how long it is believed that nobody on a segment has an address. Longer means fewer Pods that wait, and more time for a
	// stranger to come in between; who does is found beside the ADD (ahead).
	fresh = time.Minute
	// grudge is how long an address that a stranger shares with a Pod is not believed to be free when that Pod goes.
	grudge = 10 * time.Minute
)

// place is an address on a segment of this node.
type place struct {
	segment string
	addr    netip.Addr
}

// verdict is what the segment said of an address.
type verdict struct {
	at    time.Time
	clean bool
}

// verdicts are what segments said of addresses a while ago. An ADD asks the segment only for addresses without a fresh one.
type verdicts struct {
	mu  sync.Mutex
	all map[place]verdict
}

// mark says which addresses of an attachment the segment is to be asked for first.
func (v *verdicts) mark(a *kind.Attachment, p *planned) {
	segment := a.Spec.Segment()
	if segment == "" {
		return
	}
	for i := range a.Addresses {
		x := a.Addresses[i].Prefix.Addr()
		_, pool, managed := p.source(x)
		a.Addresses[i].Probe = !a.Addresses[i].Quiet && !(managed && pool.Unprobed) && !v.fresh(place{segment, x})
	}
}

func (v *verdicts) fresh(p place) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.all[p]
	return known.clean && time.Since(known.at) < fresh
}

// note keeps what a segment said.
func (v *verdicts) note(p place, clean bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.all == nil {
		v.all = map[place]verdict{}
	}
	if len(v.all)%256 == 255 {
		for other, known := range v.all {
			if time.Since(known.at) > grudge {
				delete(v.all, other)
			}
		}
	}
	v.all[p] = verdict{time.Now(), clean}
}

// freed is told that an interface is gone: until now its addresses were this node's, and no stranger could have them unseen.
func (v *verdicts) freed(w kind.Wired) {
	if w.Segment == "" {
		return
	}
	for _, a := range w.Addresses {
		p := place{w.Segment, a.Prefix.Addr()}
		v.mu.Lock()
		known, ok := v.all[p]
		v.mu.Unlock()
		if !ok || known.clean || time.Since(known.at) > grudge {
			v.note(p, true)
		}
	}
}

// source finds the want and the pool that an address comes from.
func (p *planned) source(x netip.Addr) (w *ipam.Want, pool ipam.Pool, ok bool) {
	for i := range p.wants {
		from, has := p.wants[i].From(x)
		if has && (!ok || p.wants[i].Static == x) {
			w, pool, ok = &p.wants[i], from, true
		}
	}
	return w, pool, ok
}
