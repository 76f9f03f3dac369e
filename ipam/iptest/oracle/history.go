package oracle

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// History writes uses down as they happen in one process. Its clock never
// stands still, so that what was told first is first. The zero value is ready.
type History struct {
	mu   sync.Mutex
	last time.Time
	open map[place][]int // into all
	all  []Use
}

// now is a moment of its own.
func (h *History) now() time.Time {
	t := time.Now()
	if !t.After(h.last) {
		t = h.last.Add(1)
	}
	h.last = t
	return t
}

// Begin notes that an ADD was answered with an address. Told twice of one
// holder it notes nothing more.
func (h *History) Begin(domain string, a netip.Addr, who Holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := place{domain, a}
	for _, i := range h.open[at] {
		if h.all[i].same(who) {
			return
		}
	}
	if h.open == nil {
		h.open = map[place][]int{}
	}
	h.open[at] = append(h.open[at], len(h.all))
	h.all = append(h.all, Use{Domain: domain, Address: a, Holder: who, Begin: h.now()})
}

// End notes that a DEL of it was begun. One that nobody uses is fine.
func (h *History) End(domain string, a netip.Addr, who Holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.close(place{domain, a}, h.now(), func(u Use) bool { return u.same(who) })
}

// EndAll notes the end of all uses that match, all at once: a node died, a
// sandbox is gone.
func (h *History) EndAll(match func(Use) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.now()
	for at := range h.open {
		h.close(at, t, match)
	}
}

func (h *History) close(at place, t time.Time, match func(Use) bool) {
	h.open[at] = slices.DeleteFunc(h.open[at], func(i int) bool {
		if !match(h.all[i]) {
			return false
		}
		h.all[i].End = t
		return true
	})
	if len(h.open[at]) == 0 {
		delete(h.open, at)
	}
}

// Uses are all that were noted, in the order of their begins.
func (h *History) Uses() []Use {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// Live are the uses that did not end, in the order of their begins.
func (h *History) Live() []Use {
	return slices.DeleteFunc(h.Uses(), func(u Use) bool { return !u.End.IsZero() })
}

// Duplicates judges what was noted.
func (h *History) Duplicates() []Duplicate { return Duplicates(h.Uses()) }
