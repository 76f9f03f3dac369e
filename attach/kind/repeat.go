package kind

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// repeats are the pauses before an IPv6 address is announced again (RFC 4861 clause 7.2.6: up to three times): a bridge or a switch
// may not forward yet when an interface has just come up. IPv4 is repeated by the kernel.
var repeats = []time.Duration{200 * time.Millisecond, time.Second}

// announcement is an address that was announced.
type announcement struct {
	index int
	ip    netip.Addr
	mac   net.HardwareAddr
}

// repeaters announce addresses again, one for each sandbox by the path of its namespace. Their sockets keep that namespace alive, so
// they end with the sandbox.
type repeaters struct {
	mu   sync.Mutex
	stop map[string]chan struct{}
}

// start takes the announcer over.
func (r *repeaters) start(path string, by *wire.Announcer, said []announcement, tasks *sync.WaitGroup) {
	stop := make(chan struct{})
	r.mu.Lock()
	r.end(path)
	if r.stop == nil {
		r.stop = map[string]chan struct{}{}
	}
	r.stop[path] = stop
	r.mu.Unlock()
	tasks.Go(func() {
		defer by.Close()
		for _, pause := range repeats {
			select {
			case <-time.After(pause):
			case <-stop:
				return
			}
			for _, a := range said {
				_ = by.Announce6(a.index, a.ip, a.mac) // the first one was told
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.stop[path] == stop {
			delete(r.stop, path)
		}
	})
}

// hush ends the repeater of a namespace, or all for "".
func (r *repeaters) hush(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if path != "" {
		r.end(path)
		return
	}
	for path := range r.stop {
		r.end(path)
	}
}

// end is called with mu held.
func (r *repeaters) end(path string) {
	if stop := r.stop[path]; stop != nil {
		close(stop)
		delete(r.stop, path)
	}
}
