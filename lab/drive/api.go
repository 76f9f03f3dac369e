package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// API speaks to the API server over HTTP: a kubectl per request is too slow for a test that makes Pods as fast as it can.
type API struct {
	http  http.Client
	proxy *exec.Cmd
	dir   string
}

// StatusError is an answer of the API server that is no success.
type StatusError struct {
	Code    int
	Message string
}

func (e StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// Refused tells whether the API server answered with that code.
func Refused(err error, code int) bool {
	var s StatusError
	return errors.As(err, &s) && s.Code == code
}

// Dial starts `kubectl proxy` at a socket of its own. Close ends it.
func (l Lab) Dial(ctx context.Context) (*API, error) {
	dir, err := os.MkdirTemp("", "tst-proxy-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "api.sock")
	a := &API{dir: dir, proxy: exec.Command(l.bin("kubectl"), "--kubeconfig", l.Kubeconfig(), "proxy", "--unix-socket="+socket)}
	a.http = http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}}
	if err := a.proxy.Start(); err != nil {
		return nil, fmt.Errorf("starting kubectl proxy: %w", err)
	}
	err = Until(ctx, 50*time.Millisecond, func(ctx context.Context) error { return a.Do(ctx, "GET", "/version", nil, nil) })
	if err != nil {
		a.Close()
	}
	return a, err
}

// Close ends the proxy.
func (a *API) Close() {
	_ = a.proxy.Process.Kill()
	_ = a.proxy.Wait()
	_ = os.RemoveAll(a.dir)
}

// Do sends a request with a body in JSON, and reads the answer into a value, if there is one.
func (a *API) Do(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %w", method, path, StatusError{resp.StatusCode, string(answer[:min(len(answer), 300)])})
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}

// Pod reads one Pod.
func (a *API) Pod(ctx context.Context, namespace, name string) (Pod, error) {
	var raw rawPod
	if err := a.Do(ctx, "GET", "/api/v1/namespaces/"+namespace+"/pods/"+name, nil, &raw); err != nil {
		return Pod{}, err
	}
	return raw.pod()
}

// PodList reads the Pods of a namespace that have a label.
func (a *API) PodList(ctx context.Context, namespace, selector string) ([]Pod, error) {
	var list struct{ Items []rawPod }
	if err := a.Do(ctx, "GET", "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+selector, nil, &list); err != nil {
		return nil, err
	}
	pods := make([]Pod, 0, len(list.Items))
	for _, raw := range list.Items {
		p, err := raw.pod()
		if err != nil {
			return nil, err
		}
		pods = append(pods, p)
	}
	return pods, nil
}
