package admission

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// accepts tells whether who trusts a bundle accepts what a Secret serves.
func accepts(bundle []byte, secret map[string][]byte, name string, now time.Time) error {
	pair, err := tls.X509KeyPair(secret[keyServing], secret[keyKey])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

// Over twelve years the certificate is always good, and always accepted by an
// API server whose bundle is as old as the look before.
func TestCertificateIsRotatedInTime(t *testing.T) {
	const name = "tsunagu-webhook.tsunagu-system.svc"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var secret map[string][]byte
	var servings, authorities int
	steps := []time.Duration{time.Minute, time.Hour, 12 * 24 * time.Hour}
	for i, last := 0, now.AddDate(12, 0, 0); now.Before(last); i, now = i+1, now.Add(steps[i%len(steps)]) {
		next, err := planCertificate(secret, name, now)
		if err != nil {
			t.Fatal(err)
		}
		before := secret[keyBundle]
		if before == nil {
			before = next[keyBundle]
		}
		if err := accepts(before, next, name, now); err != nil {
			t.Fatalf("%s: %v", now, err)
		}
		if err := accepts(next[keyBundle], next, name, now); err != nil {
			t.Fatalf("%s: %v", now, err)
		}
		if string(next[keyServing]) != string(secret[keyServing]) {
			servings++
		}
		if string(next[keyAuthority]) != string(secret[keyAuthority]) {
			authorities++
		}
		again, err := planCertificate(next, name, now)
		if err != nil {
			t.Fatal(err)
		}
		if string(again[keyServing]) != string(next[keyServing]) || string(again[keyBundle]) != string(next[keyBundle]) {
			t.Fatalf("%s: a good certificate is replaced", now)
		}
		if n := len(parseCertificates(next[keyBundle])); n > 2 {
			t.Fatalf("%s: %d authorities", now, n)
		}
		secret = next
	}
	if servings < 60 || authorities < 3 || authorities > 4 {
		t.Errorf("%d certificates by %d authorities", servings, authorities)
	}
}

// What people and accidents do to the Secret is mended.
func TestBrokenCertificateIsReplaced(t *testing.T) {
	const name = "tsunagu-webhook.tsunagu-system.svc"
	now := time.Now()
	good, err := planCertificate(nil, name, now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := planCertificate(nil, name, now)
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(map[string][]byte){
		"no bundle":               func(s map[string][]byte) { delete(s, keyBundle) },
		"no authority's key":      func(s map[string][]byte) { delete(s, keyAuthority) },
		"nonsense for a key":      func(s map[string][]byte) { s[keyKey] = []byte("nonsense") },
		"another key":             func(s map[string][]byte) { s[keyKey] = other[keyKey] },
		"another's certificate":   func(s map[string][]byte) { s[keyServing], s[keyKey] = other[keyServing], other[keyKey] },
		"another authority":       func(s map[string][]byte) { s[keyBundle] = other[keyBundle] },
		"nonsense for everything": func(s map[string][]byte) { clear(s); s[keyBundle], s[keyServing] = []byte("x"), []byte("y") },
	} {
		spoilt := map[string][]byte{}
		for k, v := range good {
			spoilt[k] = v
		}
		spoil(spoilt)
		next, err := planCertificate(spoilt, name, now)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if err := accepts(next[keyBundle], next, name, now); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := accepts(good[keyBundle], good, "elsewhere.svc", now); err == nil {
		t.Error("the certificate is good for any name")
	}
}
