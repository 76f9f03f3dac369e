package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Proxy leads connections to API servers.
type Proxy struct {
	list
	check *Checker
	log   *slog.Logger
	kept  string // the list on disk
}

// New makes a proxy that begins with the servers that were kept in a file.
func New(check *Checker, kept string, log *slog.Logger) (*Proxy, error) {
	p := &Proxy{check: check, log: log, kept: kept}
	known, err := readServers(kept)
	p.set(netip.AddrPort{}, known)
	return p, err
}

// SetServers replaces the list, and keeps it for the next start.
func (p *Proxy) SetServers(local netip.AddrPort, all []netip.AddrPort) error {
	p.set(local, all)
	return writeServers(p.kept, all)
}

// Servers tells how they are.
func (p *Proxy) Servers() []Status { return p.status() }

// Watch checks the servers until ctx ends: all in turn, and one at once that was
// lost.
func (p *Proxy) Watch(ctx context.Context) {
	busy := map[*server]bool{}
	done := make(chan *server)
	ask := func(s *server) {
		if busy[s] {
			return
		}
		busy[s] = true
		go func() {
			p.look(ctx, s)
			select {
			case done <- s:
			case <-ctx.Done():
			}
		}()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		for _, s := range p.order() {
			ask(s)
		}
		for waiting := true; waiting; {
			select {
			case s := <-done:
				delete(busy, s)
			case at := <-p.check.Lost():
				if s := p.at(at); s != nil {
					ask(s)
				}
			case <-tick.C:
				waiting = false
			case <-ctx.Done():
				return
			}
		}
	}
}

func (p *Proxy) look(ctx context.Context, s *server) {
	err := p.check.Ready(ctx, "https://"+s.at.String()+"/readyz")
	if ctx.Err() == nil && p.note(s, err, Refused(err)) {
		p.log.Info("an API server's state has changed", "server", s.at, "works", err == nil, "err", err)
	}
}

// Serve leads the connections of a listener until ctx ends.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(10 * time.Millisecond) // out of files, for one
			continue
		}
		go p.lead(ctx, c)
	}
}

// One server has dialPatience to accept.
const dialPatience = 2 * time.Second

// lead finds a server for a connection and carries bytes both ways.
func (p *Proxy) lead(ctx context.Context, c net.Conn) {
	defer c.Close()
	out, s, err := p.dial(ctx)
	if err != nil {
		p.log.Warn("no API server for a connection", "from", c.RemoteAddr().String(), "err", err)
		return
	}
	p.opened(s, out)
	defer p.closed(s, out)
	defer out.Close()
	var both sync.WaitGroup
	both.Go(func() { carry(out, c) })
	both.Go(func() { carry(c, out) })
	both.Wait()
}

// dial tries the servers in order.
func (p *Proxy) dial(ctx context.Context) (net.Conn, *server, error) {
	var errs []error
	for _, s := range p.order() {
		d := net.Dialer{Timeout: dialPatience, KeepAlive: 15 * time.Second}
		c, err := d.DialContext(ctx, "tcp", s.at.String())
		if err == nil {
			return c, s, nil
		}
		p.note(s, err, true)
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, nil, fmt.Errorf("none is known")
	}
	return nil, nil, errors.Join(errs...)
}

// carry copies one way (the kernel does it, by splice), and tells the receiver
// when there is no more.
func carry(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(*net.TCPConn)
	if err != nil || !ok || half.CloseWrite() != nil {
		to.Close()
		from.Close()
	}
}
