package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"
)

// Every server is asked each interval whether it is ready, and has patience to
// answer.
const (
	interval = 250 * time.Millisecond
	patience = time.Second
)

// Checker asks API servers whether they are ready.
type Checker struct{ client *http.Client }

// NewChecker makes a checker. It does not verify certificates: it sends nothing
// that is secret, and believes an answer only for whom to lead connections to,
// whose programs verify.
func NewChecker() *Checker {
	return &Checker{&http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}}}
}

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
	answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		return nil
	}
	return fmt.Errorf("%s answers %s", url, answer.Status)
}
