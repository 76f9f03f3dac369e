package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to a machine's supervisor.
type Client struct {
	Socket string
}

// ErrDown says that no supervisor answers: the machine is switched off.
var ErrDown = errors.New("machine is down")

// Status asks for the machine's components.
func (c Client) Status(ctx context.Context) (Report, error) {
	var rep Report
	body, err := c.do(ctx, http.MethodGet, "/status")
	if err != nil {
		return rep, err
	}
	return rep, json.Unmarshal(body, &rep)
}

// Do applies a verb to a component.
func (c Client) Do(ctx context.Context, component, verb string) error {
	_, err := c.do(ctx, http.MethodPost, "/components/"+url.PathEscape(component)+"/"+verb)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, component, err)
	}
	return nil
}

func (c Client) do(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	h := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", c.Socket)
			if err != nil {
				return nil, fmt.Errorf("%w (%w)", ErrDown, err)
			}
			return conn, nil
		}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://machine"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	return body, err
}
