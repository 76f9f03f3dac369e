// Package pki makes a lab's keys and certificates the way kubeadm lays them
// out: three authorities (cluster, etcd, front proxy), what each program shows
// to others, and kubeconfig files. It knows names and addresses only as it is
// told them. Start at Authority.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// A lab lives for hours, but somebody will keep one for a year.
const validity = 10 * 365 * 24 * time.Hour

// Pair is a certificate with its key.
type Pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Authority is a certificate authority.
type Authority struct{ Pair }

// NewAuthority makes a self-signed authority.
func NewAuthority(name string) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, err
	}
	t, err := template(name)
	if err != nil {
		return Authority{}, err
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	t.DNSNames = []string{name}
	p, err := sign(t, t, key, key)
	return Authority{p}, err
}

// Subject is whom a certificate names.
type Subject struct {
	Name      string   // common name: the user
	Groups    []string // organisations: the groups
	DNS       []string
	Addresses []netip.Addr
}

// Issue makes a certificate that its holder can show as a server and as a
// client; etcd's peers do both with one.
func (a Authority) Issue(s Subject) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	t, err := template(s.Name)
	if err != nil {
		return Pair{}, err
	}
	t.Subject.Organization = s.Groups
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(s.DNS)+len(s.Addresses) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	t.DNSNames = s.DNS
	for _, ip := range s.Addresses {
		t.IPAddresses = append(t.IPAddresses, ip.AsSlice())
	}
	p, err := sign(t, a.cert, key, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issuing a certificate for %s: %w", s.Name, err)
	}
	return p, nil
}

func template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		// Clocks that are a little behind must not refuse a fresh lab.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(validity),
	}, nil
}

func sign(t, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return Pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return Pair{cert, key}, err
}

// CertPEM and KeyPEM are the forms programs read.
func (p Pair) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p Pair) KeyPEM() ([]byte, error) { return keyPEM(p.key) }

func keyPEM(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Write stores name.crt and name.key below dir.
func (p Pair) Write(dir, name string) error {
	key, err := p.KeyPEM()
	if err != nil {
		return err
	}
	base := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(base+".key", key, 0o600); err != nil {
		return err
	}
	return os.WriteFile(base+".crt", p.CertPEM(), 0o644)
}

// LoadAuthority reads an authority that Write stored, or makes and stores it:
// nodes that join later are signed by the same one.
func LoadAuthority(dir, name, commonName string) (Authority, error) {
	base := filepath.Join(dir, name)
	crt, err := os.ReadFile(base + ".crt")
	if errors.Is(err, fs.ErrNotExist) {
		a, err := NewAuthority(commonName)
		if err != nil {
			return Authority{}, err
		}
		return a, a.Write(dir, name)
	}
	if err != nil {
		return Authority{}, err
	}
	key, err := os.ReadFile(base + ".key")
	if err != nil {
		return Authority{}, err
	}
	cb, _ := pem.Decode(crt)
	kb, _ := pem.Decode(key)
	if cb == nil || kb == nil {
		return Authority{}, fmt.Errorf("reading %s.crt and .key: not PEM", base)
	}
	cert, err := x509.ParseCertificate(cb.Bytes)
	if err != nil {
		return Authority{}, fmt.Errorf("reading %s.crt: %w", base, err)
	}
	k, err := x509.ParsePKCS8PrivateKey(kb.Bytes)
	if err != nil {
		return Authority{}, fmt.Errorf("reading %s.key: %w", base, err)
	}
	ec, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return Authority{}, fmt.Errorf("reading %s.key: want an ECDSA key, have %T", base, k)
	}
	return Authority{Pair{cert, ec}}, nil
}

// WriteServiceAccountKey makes the pair that signs service account tokens,
// unless it is there: sa.key and sa.pub.
func WriteServiceAccountKey(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "sa.pub")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := keyPEM(key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "sa.key"), private, 0o600); err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return os.WriteFile(filepath.Join(dir, "sa.pub"), public, 0o644)
}
