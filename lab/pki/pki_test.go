package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server and a client that know each other only through one authority, as it
// was read back from disk.
func TestBothSidesTrustTheAuthority(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadAuthority(dir, "ca", "kubernetes"); err != nil {
		t.Fatal(err)
	}
	ca, err := LoadAuthority(dir, "ca", "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	tlsPair := func(s Subject) tls.Certificate {
		t.Helper()
		p, err := ca.Issue(s)
		if err != nil {
			t.Fatal(err)
		}
		key, err := p.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		c, err := tls.X509KeyPair(p.CertPEM(), key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.CertPEM())

	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := r.TLS.PeerCertificates[0].Subject
		io.WriteString(w, who.CommonName+"/"+strings.Join(who.Organization, ","))
	}))
	srv.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{tlsPair(Subject{Name: "api", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})}}
	srv.StartTLS()
	defer srv.Close()

	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool,
		Certificates: []tls.Certificate{tlsPair(Subject{Name: "system:node:node1", Groups: []string{"system:nodes"}})}}}}
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "system:node:node1/system:nodes" {
		t.Errorf("the server saw %q", body)
	}
}

func TestServiceAccountKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := WriteServiceAccountKey(dir); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "sa.pub"))
	if err := WriteServiceAccountKey(dir); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(filepath.Join(dir, "sa.pub"))
	if string(before) != string(after) {
		t.Error("a second start makes a new key: all tokens would be void")
	}
}
