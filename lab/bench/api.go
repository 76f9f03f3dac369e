package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/pki"
)

const (
	apiURL  = "https://127.0.0.1:6443"
	etcdURL = "http://127.0.0.1:2379"
	// agentUser is the agent's name to the API server; the audit log keeps its requests and the controller's only.
	agentUser = "tsunagu-agent"
	auditLog  = "/run/audit.log"
)

// auditPolicy notes the agent's and the controller's requests when they are answered; a watch is noted when it begins and when it ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [` + agentUser + `, ` + controllerUser + `]
- level: None
`

// api is a Kubernetes API without anything else: etcd, which syncs to the disk, and kube-apiserver.
type api struct {
	etcd, server *process
	http         http.Client
	kubeconfig   string // the agent's
	controller   string // the controller's
}

// startAPI starts both and waits until the API answers.
func startAPI(ctx context.Context, programs, work string) (*api, error) {
	keys := filepath.Join(work, "pki")
	a := &api{kubeconfig: filepath.Join(work, "agent.kubeconfig"), controller: filepath.Join(work, "controller.kubeconfig")}
	if err := a.credentials(keys); err != nil {
		return nil, fmt.Errorf("making keys: %w", err)
	}
	policy := filepath.Join(work, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return nil, err
	}
	var err error
	a.etcd, err = start("etcd", work, nil, filepath.Join(programs, "etcd"),
		"--name=bench", "--data-dir="+filepath.Join(work, "etcd"), "--log-level=warn",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=bench=http://127.0.0.1:2380")
	if err != nil {
		return a, err
	}
	if err := a.etcd.wait(30*time.Second, func() error {
		c, err := net.DialTimeout("tcp", "127.0.0.1:2379", time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}); err != nil {
		return a, err
	}
	key := func(f string) string { return filepath.Join(keys, f) }
	a.server, err = start("kube-apiserver", work, nil, filepath.Join(programs, "kube-apiserver"),
		"--etcd-servers="+etcdURL, "--bind-address=127.0.0.1", "--secure-port=6443", "--advertise-address="+nodeAddresses[0].Addr().String(),
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=AlwaysAllow", "--anonymous-auth=false",
		// Nobody makes service accounts here.
		"--disable-admission-plugins=ServiceAccount",
		"--client-ca-file="+key("ca.crt"), "--tls-cert-file="+key("server.crt"), "--tls-private-key-file="+key("server.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key("sa.pub"),
		"--service-account-signing-key-file="+key("sa.key"),
		"--audit-policy-file="+policy, "--audit-log-path="+auditLog, "--audit-log-mode=blocking")
	if err != nil {
		return a, err
	}
	return a, a.server.wait(60*time.Second, func() error { return a.get(ctx, "/readyz", nil) })
}

func (a *api) credentials(dir string) error {
	ca, err := pki.LoadAuthority(dir, "ca", "kubernetes")
	if err != nil {
		return err
	}
	if err := pki.WriteServiceAccountKey(dir); err != nil {
		return err
	}
	server, err := ca.Issue(pki.Subject{Name: "kube-apiserver", DNS: []string{"localhost"}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		return err
	}
	if err := server.Write(dir, "server"); err != nil {
		return err
	}
	for user, path := range map[string]string{agentUser: a.kubeconfig, controllerUser: a.controller} {
		pair, err := ca.Issue(pki.Subject{Name: user})
		if err != nil {
			return err
		}
		if err := pki.WriteKubeconfig(path, "bench", apiURL, user, ca, pair); err != nil {
			return err
		}
	}
	admin, err := ca.Issue(pki.Subject{Name: "bench", Groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	keyPEM, err := admin.KeyPEM()
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(admin.CertPEM(), keyPEM)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	a.http = http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots},
	}}
	return nil
}

func (a *api) stop() {
	if a == nil {
		return
	}
	a.server.stop()
	a.etcd.stop()
}

func (a *api) call(ctx context.Context, method, path, contentType string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, apiURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
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
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(answer[:min(len(answer), 400)])))
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}

func (a *api) get(ctx context.Context, path string, into any) error {
	return a.call(ctx, http.MethodGet, path, "", nil, into)
}

// apply makes the object at path what the YAML (or JSON) says.
func (a *api) apply(ctx context.Context, path, text string) error {
	return a.call(ctx, http.MethodPatch, path+"?fieldManager=bench&force=true", "application/apply-patch+yaml", []byte(text), nil)
}
