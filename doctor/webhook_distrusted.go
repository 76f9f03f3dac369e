package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
)

var webhookDistrusted = Check{
	Code:  "TSU2005",
	Title: "the API server does not trust the controller's certificate",
	Explain: `The controller makes the certificate by which the API server knows it, and renews it a month before its end. When somebody else changed ` +
		`the Secret or the caBundle of the configuration, or the controller has been away for months, the API server asks nobody.`,
	Needs: []Part{Webhooks, Secrets},
	Look: func(s *Snapshot) []Finding {
		if len(s.Webhooks) == 0 || len(s.Webhooks[0].Webhooks) == 0 {
			return nil
		}
		service := s.Webhooks[0].Webhooks[0].ClientConfig.Service
		if service == nil {
			return nil // somebody else's of the same name
		}
		f := Finding{
			Severity: Warning,
			Object:   Object{"Secret", service.Namespace, service.Name},
			Breaks:   "mistakes are not said when Pods and networks are written",
			Fix:      fmt.Sprintf("kubectl -n %s delete secret %s; a running controller makes another within a minute", service.Namespace, service.Name),
		}
		serving := s.serving(service)
		switch {
		case len(s.Certificates) == 0:
			f.Cause = "it does not exist, so the controller has no certificate"
			f.Fix = "read the controller's log, and check that it may create Secrets in its namespace"
		case serving == nil:
			f.Cause = "it holds no certificate"
		case s.Time.After(serving.NotAfter):
			f.Cause = "its certificate ended at " + serving.NotAfter.UTC().Format(time.DateOnly)
		default:
			return s.distrusting(serving, service)
		}
		return []Finding{f}
	},
}

// serving is the certificate that the webhook's Secret holds, or nil.
func (s *Snapshot) serving(of *admissionregv1.ServiceReference) *x509.Certificate {
	for _, c := range s.Certificates {
		if c.Namespace != of.Namespace {
			continue
		}
		if block, _ := pem.Decode(c.Serving); block != nil {
			if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
				return certificate
			}
		}
	}
	return nil
}

// distrusting finds the part of the configuration that does not accept a
// certificate; one is enough to say.
func (s *Snapshot) distrusting(serving *x509.Certificate, service *admissionregv1.ServiceReference) []Finding {
	for _, w := range s.Webhooks[0].Webhooks {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(w.ClientConfig.CABundle)
		_, err := serving.Verify(x509.VerifyOptions{Roots: roots, DNSName: service.Name + "." + service.Namespace + ".svc", CurrentTime: s.Time})
		if err == nil {
			continue
		}
		return []Finding{{
			Severity: Warning,
			Object:   Object{"ValidatingWebhookConfiguration", "", s.Webhooks[0].Name},
			Cause:    fmt.Sprintf("the caBundle of %s does not accept the certificate of Secret %s/%s: %v", w.Name, service.Namespace, service.Name, err),
			Breaks:   "mistakes are not said when Pods and networks are written",
			Fix:      "a running controller writes it again within a minute; if it stays, find out who changes it (kubectl get --show-managed-fields)",
			CausedBy: &Cause{controllerDown.Code, Object{"Deployment", service.Namespace, ControllerName}},
		}}
	}
	return nil
}
