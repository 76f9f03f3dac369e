package admission

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// How long certificates are good, and how long before their end they are
// replaced. A new authority is in the bundle for a while before anything is
// signed by it, so that nobody meets a certificate he cannot check.
const (
	authorityFor  = 5 * 365 * 24 * time.Hour
	authorityLeft = 365 * 24 * time.Hour
	servingFor    = 90 * 24 * time.Hour
	servingLeft   = 30 * 24 * time.Hour
	authorityRest = time.Hour
	// clockSkew is how far the API server's clock may be behind ours.
	clockSkew = time.Hour
)

// Keys of the Secret. The serving pair has the names of type kubernetes.io/tls.
const (
	keyBundle    = "ca.crt"    // every authority that is good, newest first
	keyAuthority = "ca.key"    // the key of the newest
	keySigner    = "ca-signer" // the key of the one before, until nothing is signed by it any more
	keyServing   = "tls.crt"
	keyKey       = "tls.key"
)

// planCertificate is what the Secret should hold: have when that is still
// good, else what takes its place. It makes keys and reads nothing else.
func planCertificate(have map[string][]byte, name string, now time.Time) (map[string][]byte, error) {
	authorities := parseCertificates(have[keyBundle])
	authorities = slices.DeleteFunc(authorities, func(c *x509.Certificate) bool { return !now.Before(c.NotAfter) || !c.IsCA })
	newest, _ := signer(authorities, have[keyAuthority])
	next := map[string][]byte{}
	for k, v := range have {
		next[k] = v
	}
	if newest == nil || newest.NotAfter.Sub(now) < authorityLeft {
		made, key, err := newAuthority(now)
		if err != nil {
			return nil, err
		}
		authorities = append([]*x509.Certificate{made}, authorities...)
		next[keySigner], next[keyAuthority] = have[keyAuthority], key
		newest = made
	}
	next[keyBundle] = encodeCertificates(authorities)
	if goodServing(next, authorities, name, now) {
		return next, nil
	}
	// The newest signs once it has been in the bundle for a while; the one
	// before only while its key is there.
	by, key := signer(authorities, next[keyAuthority])
	if now.Sub(by.NotBefore.Add(clockSkew)) < authorityRest {
		if before, k := signer(authorities, next[keySigner]); before != nil {
			by, key = before, k
		}
	} else {
		delete(next, keySigner)
	}
	serving, servingKey, err := newServing(by, key, name, now)
	if err != nil {
		return nil, err
	}
	next[keyServing], next[keyKey] = serving, servingKey
	return next, nil
}

// goodServing tells whether the serving pair can be used for a while yet.
func goodServing(have map[string][]byte, authorities []*x509.Certificate, name string, now time.Time) bool {
	if _, err := tls.X509KeyPair(have[keyServing], have[keyKey]); err != nil {
		return false
	}
	certs := parseCertificates(have[keyServing])
	if len(certs) == 0 || certs[0].NotAfter.Sub(now) < servingLeft {
		return false
	}
	roots := x509.NewCertPool()
	for _, a := range authorities {
		roots.AddCert(a)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err == nil
}

// signer finds the authority that a key belongs to.
func signer(authorities []*x509.Certificate, keyPEM []byte) (*x509.Certificate, *ecdsa.PrivateKey) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, nil
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, nil
	}
	for _, a := range authorities {
		if key.PublicKey.Equal(a.PublicKey) {
			return a, key
		}
	}
	return nil, nil
}

func newAuthority(now time.Time) (*x509.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the authority's key: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "tsunagu-webhook-ca"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(authorityFor),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the authority: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority: %w", err)
	}
	text, err := encodeKey(key)
	return made, text, err
}

func newServing(by *x509.Certificate, byKey *ecdsa.PrivateKey, name string, now time.Time) (certificate, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the serving key: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(servingFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, by, k.Public(), byKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the serving certificate: %w", err)
	}
	key, err = encodeKey(k)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, err
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("no random numbers: " + err.Error()) // crypto/rand never errs
	}
	return n
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func encodeCertificates(all []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range all {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

// parseCertificates reads what it can of a PEM text.
func parseCertificates(text []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
}
