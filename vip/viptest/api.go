package viptest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// APIServer is a stand-in on a node: ready, and it says the node's name.
type APIServer struct{ s *httptest.Server }

// Serve starts one. With leases it keeps those too, unless the node is cut off: then it waits for an etcd that has no majority.
func (n *Node) Serve(leases ...*Leases) (*APIServer, error) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(leases) > 0 && strings.Contains(r.URL.Path, "/namespaces/") {
			if n.cut.Load() {
				<-r.Context().Done()
				return
			}
			leases[0].ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, n.Name)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	err := n.NS.Do(func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", AnswerPort))
		if err == nil {
			s.Listener.Close()
			s.Listener = l
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start an API server on %s: %w", n.Name, err)
	}
	s.StartTLS()
	return &APIServer{s}, nil
}

// Kill ends it as the kernel ends a process: the port is closed and all connections are.
func (a *APIServer) Kill() { a.s.Config.Close() }

// Call asks the API server at an address all the time, with a connection each.
type Call struct {
	began  time.Time
	cancel context.CancelFunc
	parts  sync.WaitGroup
	mu     sync.Mutex
	good   []called
}

type called struct {
	at time.Duration
	by string
}

// A call begins every callEvery, and has callPatience.
const (
	callEvery    = 10 * time.Millisecond
	callPatience = 300 * time.Millisecond
)

// Call begins to ask, from the client.
func (s *Site) Call(vip netip.Addr) *Call {
	c := &Call{began: time.Now()}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	c.parts.Go(func() {
		for t := time.NewTicker(callEvery); ctx.Err() == nil; <-t.C {
			at := c.Mark()
			c.parts.Go(func() {
				if by, err := s.ask(ctx, netip.AddrPortFrom(vip, AnswerPort)); err == nil {
					c.mu.Lock()
					defer c.mu.Unlock()
					c.good = append(c.good, called{at, by})
				}
			})
		}
	})
	return c
}

func (s *Site) ask(ctx context.Context, at netip.AddrPort) (by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	var raw net.Conn
	err = s.Client.Do(func() (err error) {
		var d net.Dialer
		raw, err = d.DialContext(ctx, "tcp", at.String())
		return err
	})
	if err != nil {
		return "", err
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(callPatience))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return string(b), err
}

// Mark is the time of the calls.
func (c *Call) Mark() time.Duration { return time.Since(c.began) }

// Answered waits until a call that began after a mark was answered by another than not.
func (c *Call) Answered(after time.Duration, not string, patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		found := false
		for _, g := range c.good {
			found = found || g.at >= after && g.by != not
		}
		c.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

// Gap is the longest time, from a mark on, between the beginnings of calls that were answered.
func (c *Call) Gap(from time.Duration) (gap time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.good, func(a, b called) int { return cmp.Compare(a.at, b.at) })
	last := from
	for _, g := range c.good {
		if g.at >= from {
			gap, last = max(gap, g.at-last), g.at
		}
	}
	return max(gap, c.Mark()-last-2*callPatience)
}

// Stop ends the calls.
func (c *Call) Stop() {
	c.cancel()
	c.parts.Wait()
}
