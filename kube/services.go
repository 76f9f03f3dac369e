package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Services knows the addresses that Services get. They change about never, so they are asked for now and then.
type Services struct {
	core rest.Interface
	log  *slog.Logger

	mu       sync.Mutex
	prefixes []netip.Prefix
}

// NewServices knows nothing until Run has asked.
func NewServices(c *Client, log *slog.Logger) *Services { return &Services{core: c.Core, log: log} }

// Prefixes are those of all ServiceCIDRs, as last heard.
func (s *Services) Prefixes() []netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]netip.Prefix(nil), s.prefixes...)
}

// Run asks every ten minutes, and more often until there is an answer, until the context ends.
func (s *Services) Run(ctx context.Context) error {
	const rarely, often = 10 * time.Minute, 5 * time.Second
	pause := often
	for {
		if prefixes, err := s.read(ctx); err == nil {
			s.mu.Lock()
			s.prefixes = prefixes
			s.mu.Unlock()
			pause = rarely
		} else if ctx.Err() == nil {
			s.log.Debug("the addresses of Services are not known", "err", err)
			pause = min(2*pause, rarely)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// read lists ServiceCIDR objects (networking.k8s.io/v1, Kubernetes 1.33).
func (s *Services) read(ctx context.Context) ([]netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	raw, err := s.core.Get().AbsPath("/apis/networking.k8s.io/v1/servicecidrs").SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("list ServiceCIDRs: %w", err)
	}
	var list struct {
		Items []struct {
			Spec struct {
				CIDRs []string `json:"cidrs"`
			} `json:"spec"`
		} `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("read the list of ServiceCIDRs: %w", err)
	}
	var prefixes []netip.Prefix
	for _, item := range list.Items {
		for _, text := range item.Spec.CIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				prefixes = append(prefixes, p.Masked())
			}
		}
	}
	return prefixes, nil
}
