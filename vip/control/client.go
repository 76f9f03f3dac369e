package control

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

// Client asks the tsunagu-vip of this node.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of a socket.
func NewClient(socket string) *Client {
	return &Client{socket, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Status asks how things are.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, "/status", nil, &s)
}

// Handover asks this node to give the addresses to another one; "" is the best.
func (c *Client) Handover(ctx context.Context, to string) error {
	return c.do(ctx, http.MethodPost, "/handover", url.Values{"to": {to}}, nil)
}

// Remove asks this node, which must have the addresses, to take a node off the
// list of members.
func (c *Client) Remove(ctx context.Context, node string) error {
	return c.do(ctx, http.MethodPost, "/remove", url.Values{"node": {node}}, nil)
}

func (c *Client) do(ctx context.Context, method, path string, values url.Values, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://tsunagu-vip"+path+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask tsunagu-vip at %s: %w", c.socket, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the answer of tsunagu-vip: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the answer of tsunagu-vip: %w", err)
	}
	return nil
}
