package supervise

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Forward carries TCP connections to the first target that answers. With it
// the host reaches an API server inside a namespace it has no link to.
type Forward struct {
	Listen  string   `json:"listen"`
	Targets []string `json:"targets"`
}

func (f Forward) serve(ln net.Listener) {
	// A target that is switched off costs a timeout, so the one that answered
	// last is asked first.
	var last atomic.Int32
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go f.carry(c.(*net.TCPConn), &last)
	}
}

func (f Forward) carry(in *net.TCPConn, last *atomic.Int32) {
	defer in.Close()
	first := int(last.Load())
	for i := range f.Targets {
		n := (first + i) % len(f.Targets)
		c, err := net.DialTimeout("tcp", f.Targets[n], 2*time.Second)
		if err != nil {
			continue
		}
		last.Store(int32(n))
		out := c.(*net.TCPConn)
		defer out.Close()
		done := make(chan struct{})
		go func() { defer close(done); pipe(out, in) }()
		pipe(in, out)
		<-done
		return
	}
}

// pipe copies one direction and passes the end of it on.
func pipe(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	_ = to.CloseWrite()
	if err != nil {
		_ = from.Close()
	}
}
