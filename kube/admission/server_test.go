package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

var quiet = slog.New(slog.DiscardHandler)

// Several controllers that start at once serve one certificate.
func TestReplicasAgree(t *testing.T) {
	c := cluster(t)
	replicas := make([]*Certificates, 5)
	var wg sync.WaitGroup
	for i := range replicas {
		s, err := NewServer("", map[string]ctrladmission.Handler{Path: ctrladmission.HandlerFunc(nil)}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		replicas[i] = &Certificates{Client: c, Namespace: "tsunagu-system", Server: s, Log: quiet}
		wg.Go(func() {
			if err := replicas[i].once(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var secret corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "tsunagu-system", Name: SecretName}, &secret); err != nil {
		t.Fatal(err)
	}
	want, err := tls.X509KeyPair(secret.Data[keyServing], secret.Data[keyKey])
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range replicas {
		if got, err := r.Server.current(nil); err != nil || !bytes.Equal(got.Certificate[0], want.Certificate[0]) {
			t.Errorf("replica %d serves another certificate (%v)", i, err)
		}
	}
}

// freePort is a port that nobody listens at now.
func freePort(t *testing.T) (string, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), l
}

// The API server trusts the bundle, and is answered over TLS. A port that is
// taken ends nothing.
func TestServerAnswersWhoTrustsTheBundle(t *testing.T) {
	address, taken := freePort(t)
	d := world(t)
	s, err := NewServer(address, map[string]ctrladmission.Handler{Path: d}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	if err := s.serve(ctx); err == nil {
		t.Fatal("two listen at one port")
	}
	taken.Close()
	go func() { ended <- s.Start(ctx) }()
	var bundle []byte
	certificates := &Certificates{Client: cluster(t), Namespace: "tsunagu-system", Server: s, Log: quiet, bundle: func(b []byte) { bundle = b }}
	if s.Serving() {
		t.Error("serving without a certificate")
	}
	if err := certificates.once(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	person := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serverName("tsunagu-system")}}}
	body, err := json.Marshal(review(t, "pods", "Pod", "team", podAsking("web", "bleu"), ""))
	if err != nil {
		t.Fatal(err)
	}
	var answer admissionv1.AdmissionReview
	for deadline := time.Now().Add(5 * time.Second); ; {
		resp, err := person.Post("https://"+address+Path, "application/json", bytes.NewReader(body))
		if err == nil {
			raw, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err := json.Unmarshal(raw, &answer); err != nil {
				t.Fatalf("%v: %s", err, raw)
			}
			if resp.ProtoMajor != 2 {
				t.Errorf("answered by %s", resp.Proto)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // it begins to listen
	}
	says(t, answer.Response, "bleu")
	if !s.Serving() {
		t.Error("answers, and says that it does not")
	}
	person.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the end is an error: %v", err)
	}
}

func TestConfigurationIsKept(t *testing.T) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: ownerName, UID: "role-uid"}}
	scheme, err := ownKinds()
	if err != nil {
		t.Fatal(err)
	}
	if err := rbacv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cl := fake.NewClientBuilder().WithScheme(scheme).WithObjects(role).Build()
	serving := false
	c := &Configuration{Client: cl, Namespace: "tsunagu-system", Serving: func() bool { return serving }, Log: quiet, wake: make(chan struct{}, 1)}
	have := func() *admissionregv1.ValidatingWebhookConfiguration {
		var o admissionregv1.ValidatingWebhookConfiguration
		if err := cl.Get(t.Context(), client.ObjectKey{Name: ConfigurationName}, &o); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		} else if err != nil {
			return nil
		}
		return &o
	}
	once := func(want bool) {
		t.Helper()
		if done, err := c.once(t.Context()); done != want || err != nil {
			t.Fatalf("done %v, %v; want %v", done, err, want)
		}
	}
	c.trust([]byte("one"))
	once(false)
	if have() != nil {
		t.Fatal("it is made before anybody answers")
	}
	serving = true
	once(true)
	first := have()
	if first == nil || len(first.OwnerReferences) != 1 || first.OwnerReferences[0].UID != "role-uid" {
		t.Fatalf("got %+v", first)
	}
	for _, w := range first.Webhooks {
		if *w.FailurePolicy != admissionregv1.Ignore || *w.TimeoutSeconds > 1 || string(w.ClientConfig.CABundle) != "one" {
			t.Errorf("%s: %v %d %s", w.Name, *w.FailurePolicy, *w.TimeoutSeconds, w.ClientConfig.CABundle)
		}
		if got := fmt.Sprint(w.NamespaceSelector.MatchExpressions[0].Values); got != "[kube-system tsunagu-system]" {
			t.Errorf("%s leaves out %s", w.Name, got)
		}
	}
	once(true)
	if again := have(); again.ResourceVersion != first.ResourceVersion {
		t.Error("it is written although it is right")
	}
	spoilt := have()
	spoilt.Webhooks[0].ClientConfig.CABundle = []byte("other")
	spoilt.Webhooks = spoilt.Webhooks[:2]
	if err := cl.Update(t.Context(), spoilt); err != nil {
		t.Fatal(err)
	}
	c.trust([]byte("two"))
	once(true)
	if got := have(); len(got.Webhooks) != len(first.Webhooks) || string(got.Webhooks[0].ClientConfig.CABundle) != "two" {
		t.Errorf("got %+v", got)
	}
	c.Off = true
	once(true)
	if have() != nil {
		t.Error("it is there although admission is off")
	}
	once(true)
}
