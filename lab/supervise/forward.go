package supervise

import (
	"io"
	"net"
	"time"
)

// Forward carries TCP connections to the first target that answers. With it
// the host reaches an API server inside a namespace it has no link to.
type Forward struct {
	Listen  string   `json:"listen"`
	Targets []string `json:"targets"`
}

func (f Forward) serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go f.carry(c.(*net.TCPConn))
	}
}

func (f Forward) carry(in *net.TCPConn) {
	defer in.Close()
	for _, target := range f.Targets {
		c, err := net.DialTimeout("tcp", target, 2*time.Second)
		if err != nil {
			continue
		}
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
