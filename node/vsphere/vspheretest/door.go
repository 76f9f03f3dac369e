package vspheretest

import (
	"io"
	"net"
	"sync"
)

// Door is where a vCenter is reached. It can be shut, as when the vCenter is
// away, and opened again at the same address.
type Door struct {
	listen func(address string) (net.Listener, error)
	to     string

	mu      sync.Mutex
	address string
	at      net.Listener
	through map[net.Conn]bool
}

// Open opens one at an address, of which the port may be 0, that leads to another.
func Open(listen func(address string) (net.Listener, error), at, to string) (*Door, error) {
	d := &Door{to: to, through: map[net.Conn]bool{}, listen: listen}
	l, err := listen(at)
	if err != nil {
		return nil, err
	}
	d.address = l.Addr().String()
	d.serve(l)
	return d, nil
}

// Address is where it is.
func (d *Door) Address() string { return d.address }

// Stop shuts it: whoever is connected is cut off.
func (d *Door) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at != nil {
		d.at.Close()
	}
	for c := range d.through {
		c.Close()
	}
	d.at, d.through = nil, map[net.Conn]bool{}
}

// Resume opens it again.
func (d *Door) Resume() error {
	l, err := d.listen(d.address)
	if err == nil {
		d.serve(l)
	}
	return err
}

func (d *Door) serve(l net.Listener) {
	d.mu.Lock()
	d.at = l
	d.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.lead(c)
		}
	}()
}

func (d *Door) lead(c net.Conn) {
	defer c.Close()
	to, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer to.Close()
	d.mu.Lock()
	shut := d.at == nil
	d.through[c] = true
	d.mu.Unlock()
	if shut {
		return
	}
	go func() { _, _ = io.Copy(to, c); to.Close() }()
	_, _ = io.Copy(c, to)
	d.mu.Lock()
	delete(d.through, c)
	d.mu.Unlock()
}
