package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
)

// admissionOf makes an authority and a certificate that it signed.
func admissionOf(from, until time.Time) (bundle, serving []byte) {
	make := func(t, by *x509.Certificate, key *ecdsa.PrivateKey, public any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, t, by, public, key)
		if err != nil {
			panic(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until, DNSNames: []string{"tsunagu-webhook.tsunagu-system.svc"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	return make(ca, ca, key, key.Public()), make(leaf, ca, key, key.Public())
}

// admission is a configuration and a Secret that are right.
func admission(t testing.TB, from, until time.Time) ([]admissionregv1.ValidatingWebhookConfiguration, []Certificate) {
	t.Helper()
	bundle, serving := admissionOf(from, until)
	w := admissionregv1.ValidatingWebhookConfiguration{ObjectMeta: named("", webhookName, "w"), Webhooks: []admissionregv1.ValidatingWebhook{{
		Name: "pods.admission.tsunagu.dev", ClientConfig: admissionregv1.WebhookClientConfig{CABundle: bundle,
			Service: &admissionregv1.ServiceReference{Namespace: "tsunagu-system", Name: "tsunagu-webhook"}}}}}
	return []admissionregv1.ValidatingWebhookConfiguration{w}, []Certificate{{Namespace: "tsunagu-system", Name: "tsunagu-webhook", Serving: serving}}
}
