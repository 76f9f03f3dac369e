package proxy

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// server is an API server and what is known of it.
type server struct {
	at       netip.AddrPort
	failures int // checks in a row
	checked  bool
	why      string // the last failure
	open     map[net.Conn]struct{}
}

// tolerance is how many checks in a row may fail.
const tolerance = 2

func (s *server) works() bool { return s.checked && s.failures < tolerance }

// list has the servers.
type list struct {
	mu    sync.Mutex
	local netip.AddrPort
	all   []*server
}

// set replaces the list; what is known of those that stay is kept.
func (l *list) set(local netip.AddrPort, others []netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.local = local
	var next []*server
	for _, at := range others {
		if slices.ContainsFunc(next, func(s *server) bool { return s.at == at }) {
			continue
		}
		i := slices.IndexFunc(l.all, func(s *server) bool { return s.at == at })
		if i >= 0 {
			next = append(next, l.all[i])
		} else {
			next = append(next, &server{at: at, open: map[net.Conn]struct{}{}})
		}
	}
	for _, s := range l.all {
		if !slices.Contains(next, s) {
			s.closeAll()
		}
	}
	l.all = next
}

// at is the server with an address, nil if there is none.
func (l *list) at(a netip.AddrPort) *server {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(s *server) bool { return s.at == a })
	if i < 0 {
		return nil
	}
	return l.all[i]
}

// Elsewhere tells whether a server of another node works.
func (l *list) Elsewhere() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.all, func(s *server) bool { return s.at != l.local && s.works() })
}

// Known are the addresses of all servers.
func (l *list) Known() (all []netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		all = append(all, s.at)
	}
	return all
}

// order is in which order a new connection tries the servers: those that work
// first, of these the node's own, then the one with the fewest connections. Those
// that do not seem to work are tried last: the checks may be wrong.
func (l *list) order() []*server {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.all)
	rank := func(s *server) (n int) {
		if !s.works() {
			n = 1 << 40
		}
		if s.at == l.local {
			return n
		}
		return n + 1 + len(s.open)
	}
	slices.SortStableFunc(out, func(a, b *server) int { return rank(a) - rank(b) })
	return out
}

// note takes the outcome of a check, or of a connection that could not be made
// (then fatal), in. Connections to a server that does not work any more end: their
// programs come again and are led to another one.
func (l *list) note(s *server, err error, fatal bool) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	did := s.works()
	switch {
	case err == nil:
		s.failures, s.why, s.checked = 0, "", true
	case fatal:
		s.failures, s.why = tolerance, err.Error()
	default:
		s.failures++
		s.why = err.Error()
	}
	if did && !s.works() {
		s.closeAll()
	}
	return did != s.works()
}

func (l *list) opened(s *server, c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.open[c] = struct{}{}
}

func (l *list) closed(s *server, c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(s.open, c)
}

func (s *server) closeAll() {
	for c := range s.open {
		c.Close()
	}
}

// Status is a server for people.
type Status struct {
	Server      string `json:"server"`
	Local       bool   `json:"local,omitempty"`
	Works       bool   `json:"works"`
	Why         string `json:"why,omitempty"`
	Connections int    `json:"connections"`
}

func (l *list) status() []Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Status
	for _, s := range l.all {
		all = append(all, Status{s.at.String(), s.at == l.local, s.works(), s.why, len(s.open)})
	}
	return all
}
