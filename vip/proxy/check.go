package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Every server is asked each interval whether it is ready.
const interval = 250 * time.Millisecond

// Patience is how long a server may take to answer before connections to it are
// ended. A busy one takes long.
const Patience = time.Second

// Checker asks API servers whether they are ready.
type Checker struct {
	client *http.Client
	lost   chan netip.AddrPort
}

// NewChecker makes a checker that waits so long for an answer. It does not verify certificates: it sends nothing
// that is secret, and believes an answer only for whom to lead connections to,
// whose programs verify.
func NewChecker(patience time.Duration) *Checker {
	c := &Checker{lost: make(chan netip.AddrPort, 16)}
	c.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, DialContext: c.dial,
	}}
	return c
}

// Lost names servers that ended a connection on which they were asked before: they
// want to be asked again at once. The kernel says it the moment a process dies.
func (c *Checker) Lost() <-chan netip.AddrPort { return c.lost }

func (c *Checker) dial(ctx context.Context, network, to string) (net.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	at, _ := netip.ParseAddrPort(raw.RemoteAddr().String())
	return &wired{raw, at, c.lost}, nil
}

// wired is a connection that tells when the other side ends it.
type wired struct {
	net.Conn
	at   netip.AddrPort
	lost chan<- netip.AddrPort
}

func (w *wired) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		select {
		case w.lost <- w.at:
		default:
		}
	}
	return n, err
}

// Refused tells whether a check failed because nobody listens: it is certain, and
// needs no second look.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// Ready asks one. An API server that refuses anonymous questions (K3s) is taken
// for ready when it says so: it answers.
func (c *Checker) Ready(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask whether the API server is ready: %w", err)
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // or the connection is not kept
	answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		return nil
	}
	return fmt.Errorf("%s answers %s", url, answer.Status)
}
