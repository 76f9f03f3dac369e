package admission

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// broken is an API server that does not answer, or brings the judge down.
type broken struct {
	client.Reader
	panics bool
}

func (b broken) Get(ctx context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	if b.panics {
		panic("on purpose")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b broken) List(ctx context.Context, _ client.ObjectList, _ ...client.ListOption) error {
	return b.Get(ctx, client.ObjectKey{}, nil)
}

// Whatever goes wrong in the judging, the request passes, and soon.
func TestTroubleLetsPass(t *testing.T) {
	for name, b := range map[string]broken{"silent": {}, "panics": {panics: true}} {
		t.Run(name, func(t *testing.T) {
			d := world(t)
			d.Cached, d.Live, d.Deny = b, b, true
			start := time.Now()
			says(t, ask(t, d, review(t, "pods", "Pod", "team", podAsking("web", "blue,red,green"), "")))
			says(t, ask(t, d, review(t, "pods", "Pod", "team", "a: [}"[:2]+" 1", "")))
			says(t, ask(t, d, review(t, "secrets", "Secret", "team", "{}", "")))
			if took := time.Since(start); took > 3*patience/2 {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestWarningsFit(t *testing.T) {
	long := strings.Repeat("é", 3*longestWarning)
	got := worded([]string{"a\nb\x00c", long, long, "1", "2", "3", "4", "5", "6", "7", "8"})
	if len(got) != mostWarnings || got[0] != "tsunagu: a b c" || !strings.Contains(got[mostWarnings-1], "there is more") {
		t.Errorf("got %q", got)
	}
	total := 0
	for _, w := range got {
		total += len(w)
	}
	if total > 4096 || strings.ContainsFunc(strings.Join(got, ""), unicode.IsControl) {
		t.Errorf("%d bytes: %q", total, got)
	}
}

// No request of any content brings the judge down, or is refused unless it is
// a pool or a Network.
func FuzzHandle(f *testing.F) {
	f.Add("pods", `{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"bleu"}}}`, ``)
	f.Add("deployments", `{"spec":{"replicas":3,"template":{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"[{\"name\":\"blue\",\"ips\":[\"192.168.90.12\"]}]"}}}}}`, ``)
	f.Add("cronjobs", `{"spec":{"jobTemplate":{"spec":{"template":{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"blue@"}}}}}}}`, `{}`)
	f.Add("ippools", `{"spec":{"cidr":"10.0.0.0/8","exclude":["fd00::1"],"fallback":[""]}}`, `{"spec":{"cidr":"::/0"}}`)
	f.Add("networks", `{"metadata":{"name":"pods"},"spec":{"subnets":[{"cidr":"0.0.0.0/0"}]}}`, ``)
	f.Add("network-attachment-definitions", `{"spec":{"config":"{\"plugins\":[null]}"}}`, ``)
	f.Add("ipclaims", `{"spec":{"network":"/","addresses":["::ffff:1.2.3.4"]}}`, `null`)
	d := world(f)
	s, err := NewServer("", map[string]ctrladmission.Handler{Path: d}, d.Log)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, resource, next, old string) {
		body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","resource":{"resource":` + quoted(t, resource) + `},"namespace":"team","operation":"UPDATE"`
		if json.Valid([]byte(next)) {
			body += `,"object":` + next
		}
		if json.Valid([]byte(old)) {
			body += `,"oldObject":` + old
		}
		r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body+"}}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		if a := answer.Response; !a.Allowed && resource != "ippools" && resource != "networks" && string(a.UID) == "u" {
			t.Fatalf("%s %s is refused: %v", resource, next, a.Result)
		}
		for _, warning := range answer.Response.Warnings {
			if strings.ContainsFunc(warning, unicode.IsControl) || len([]rune(warning)) > longestWarning+9 {
				t.Fatalf("%q does not fit into a header", warning)
			}
		}
	})
}

func quoted(t *testing.T, text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
