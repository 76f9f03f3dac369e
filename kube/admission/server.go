package admission

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Server answers the API server over TLS. It has a listener of its own and
// not controller-runtime's, which ends the whole controller when its port is
// taken: on the host's network that can happen, and admission is never needed.
type Server struct {
	// Address to listen at.
	Address string
	Log     *slog.Logger

	mux         http.ServeMux
	certificate atomic.Pointer[tls.Certificate]
	serving     atomic.Bool
}

// portPause is how long a port that is taken is left alone.
const portPause = 5 * time.Second

// NewServer serves handlers, each at its path.
func NewServer(address string, handlers map[string]admission.Handler, log *slog.Logger) (*Server, error) {
	s := &Server{Address: address, Log: log}
	for path, h := range handlers {
		handler, err := admission.StandaloneWebhook(&admission.Webhook{Handler: h}, admission.StandaloneOptions{MetricsPath: path})
		if err != nil {
			return nil, fmt.Errorf("prepare the webhook %s: %w", path, err)
		}
		s.mux.Handle("POST "+path, handler)
	}
	return s, nil
}

// NeedLeaderElection tells that every replica answers.
func (s *Server) NeedLeaderElection() bool { return false }

// Serving tells whether requests would be answered.
func (s *Server) Serving() bool { return s.serving.Load() && s.certificate.Load() != nil }

// use changes the certificate; connections that are open keep theirs.
func (s *Server) use(c *tls.Certificate) { s.certificate.Store(c) }

// Start answers until the context ends. A port that is taken is tried again.
func (s *Server) Start(ctx context.Context) error {
	for told := ""; ; {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err.Error() != told {
			told = err.Error()
			s.Log.Error("admission is not served, Pods are attached and refused without it", "err", err)
		}
		select {
		case <-time.After(portPause):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) serve(ctx context.Context) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.current}
	l, err := tls.Listen("tcp", s.Address, config)
	if err != nil {
		return fmt.Errorf("listen for the API server: %w", err)
	}
	s.serving.Store(true)
	defer s.serving.Store(false)
	server := &http.Server{Handler: &s.mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
	defer context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // what is not answered by then passes
	})()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer the API server: %w", err)
	}
	return http.ErrServerClosed
}

func (s *Server) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.certificate.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("there is no certificate yet")
}
