package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// api is the little of the Kubernetes API that making a lab takes; with it the
// lab's own module stays free of client-go.
type api struct {
	base string
	http http.Client
}

func (c *Cluster) api() (*api, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.pkiDir(), "admin.crt"), filepath.Join(c.pkiDir(), "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(c.pkiDir(), "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &api{base: c.apiURL(), http: http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		// A proxy of the user's environment has no business here.
		Proxy:           nil,
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool},
	}}}, nil
}

var errNotFound = errors.New("not found")

func (a *api) call(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s %s: %w", method, path, errNotFound)
	case resp.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %w", method, path, refusal{resp.StatusCode, resp.Status + ": " + strings.TrimSpace(string(answer[:min(len(answer), 400)]))})
	}
	return answer, nil
}

// refusal is an answer of the API server that is not the one hoped for.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// change asks for something that may be asked for twice, and so asks again when the connection was lost or the server was not ready for it:
// while control planes start, the address moves to whichever is ready, and its connections end.
func (a *api) change(ctx context.Context, method, path, contentType string, body []byte) error {
	var final error
	err := await(ctx, 30*time.Second, func() error {
		_, err := a.call(ctx, method, path, contentType, body)
		var r refusal
		if errors.Is(err, errNotFound) || errors.As(err, &r) && r.status < 500 && r.status != http.StatusTooManyRequests {
			final = err
			return nil
		}
		return err
	})
	return errors.Join(final, err)
}

func (a *api) get(ctx context.Context, path string, into any) error {
	b, err := a.call(ctx, http.MethodGet, path, "", nil)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// delete of what is absent is success.
func (a *api) delete(ctx context.Context, path string) error {
	err := a.change(ctx, http.MethodDelete, path, "", nil)
	if errors.Is(err, errNotFound) {
		return nil
	}
	return err
}

func (a *api) merge(ctx context.Context, path string, patch any) error {
	b, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return a.change(ctx, http.MethodPatch, path, "application/merge-patch+json", b)
}

// apply creates or changes the object at path to be what the YAML says.
func (a *api) apply(ctx context.Context, path, yaml string) error {
	return a.change(ctx, http.MethodPatch, path+"?fieldManager=tsunagu-lab&force=true", "application/apply-patch+yaml", []byte(yaml))
}

// nodeObject is what the lab reads of a Node.
type nodeObject struct {
	Metadata struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		PodCIDRs []string `json:"podCIDRs"`
	} `json:"spec"`
	Status struct {
		NodeInfo struct {
			BootID string `json:"bootID"`
		} `json:"nodeInfo"`
		Conditions []struct{ Type, Status, Reason, Message string } `json:"conditions"`
	} `json:"status"`
}

// ready tells whether the node can run Pods, and if not, why.
func (n nodeObject) ready() (bool, string) {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True", c.Message
		}
	}
	return false, "no status yet"
}

func (a *api) node(ctx context.Context, name string) (nodeObject, error) {
	var n nodeObject
	return n, a.get(ctx, "/api/v1/nodes/"+name, &n)
}

// errInterrupted stands for what a component says when we hang up.
var errInterrupted = errors.New("interrupted")

// hopeless is an error that waiting does not heal.
type hopeless struct{ error }

// await calls f until it succeeds; at the end of the time it gives f's last
// error, which says more than that time is up.
func await(ctx context.Context, most time.Duration, f func() error) error {
	deadline := time.Now().Add(most)
	for wait := 10 * time.Millisecond; ; wait = min(wait*2, 250*time.Millisecond) {
		err := f()
		if ctx.Err() != nil {
			return errInterrupted
		}
		var end hopeless
		if err == nil || errors.As(err, &end) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(wait):
		}
	}
}
