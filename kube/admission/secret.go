package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Names of what the install and the controller share.
const (
	// ServiceName is the Service in front of the controllers, SecretName the
	// Secret with the certificate.
	ServiceName = "tsunagu-webhook"
	SecretName  = "tsunagu-webhook"
)

// lookEvery is how often the Secret is looked at.
const lookEvery = time.Minute

// Certificates keeps the Secret and gives the Server its certificate. Every
// replica does: the Secret is created and written only as it was read, so that
// of several one wins and the others read what it wrote.
type Certificates struct {
	// Client reads and writes without a cache.
	Client    client.Client
	Namespace string
	Server    *Server
	Log       *slog.Logger

	bundle func([]byte) // is told the authorities
}

// NeedLeaderElection tells that every replica needs a certificate.
func (*Certificates) NeedLeaderElection() bool { return false }

// serverName is what the API server calls the Service.
func serverName(namespace string) string { return ServiceName + "." + namespace + ".svc" }

// Start keeps the certificate until the context ends.
func (c *Certificates) Start(ctx context.Context) error {
	for pause := time.Second; ; {
		if err := c.once(ctx, time.Now()); err != nil {
			if ctx.Err() == nil {
				c.Log.Warn("the webhook's certificate is not kept", "err", err)
			}
			pause = min(2*pause, lookEvery)
		} else {
			pause = lookEvery
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// once brings the Secret up to date and uses it.
func (c *Certificates) once(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	data, err := c.agree(ctx, now)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(data[keyServing], data[keyKey])
	if err != nil {
		return fmt.Errorf("read the certificate of Secret %s/%s: %w", c.Namespace, SecretName, err)
	}
	c.Server.use(&pair)
	if c.bundle != nil {
		c.bundle(data[keyBundle])
	}
	return nil
}

// agree reads the Secret, or writes it when it is missing or must change, and
// reads again when somebody was faster.
func (c *Certificates) agree(ctx context.Context, now time.Time) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: c.Namespace, Name: SecretName}
	for {
		secret := &corev1.Secret{}
		err := c.Client.Get(ctx, key, secret)
		missing := apierrors.IsNotFound(err)
		if err != nil && !missing {
			return nil, fmt.Errorf("read Secret %s: %w", key, err)
		}
		next, err := planCertificate(secret.Data, serverName(c.Namespace), now)
		if err != nil {
			return nil, err
		}
		if !missing && maps.EqualFunc(next, secret.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
			return next, nil
		}
		if missing {
			secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: SecretName, Labels: ownLabels()}, Type: corev1.SecretTypeTLS, Data: next}
			err = c.Client.Create(ctx, secret)
		} else {
			secret.Data = next
			err = c.Client.Update(ctx, secret)
		}
		if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) && !missing {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("write Secret %s: %w", key, err)
		}
		c.Log.Info("wrote the webhook's certificate", "secret", key.String())
		return next, nil
	}
}

func ownLabels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "tsunagu", "app.kubernetes.io/component": "controller",
		"app.kubernetes.io/part-of": "tsunagu", "app.kubernetes.io/managed-by": "tsunagu"}
}
