package kube

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/linear"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// live is the API server that the environment names. It has tsunagu's
// definitions, and what these tests make there is in domains of their own.
func live(t *testing.T, name string) *Addresses {
	t.Helper()
	kubeconfig := os.Getenv("TSUNAGU_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("TSUNAGU_TEST_KUBECONFIG names no API server: the lab's tests run this one")
	}
	cfg, err := Config(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 1000, 1000
	c, err := Connect(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewAddresses(c, slog.New(slog.NewTextHandler(testWriter{t, name}, nil)))
}

type testWriter struct {
	t    *testing.T
	name string
}

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s: %s", w.name, line)
	return len(line), nil
}

func unique() string { return fmt.Sprintf("tst-%x", time.Now().UnixNano()) }

func TestLiveStoreConforms(t *testing.T) {
	s, domain := live(t, "store"), unique()
	t.Cleanup(func() { sweep(t, s, domain) })
	iptest.Conform(t, s, domain)
}

// The allocators of fifty nodes share a subnet on a real API server.
func TestLiveFiftyNodes(t *testing.T) {
	for _, cidr := range []string{"10.77.0.0/28", "10.77.0.0/24", "10.77.0.0/16"} {
		t.Run(cidr, func(t *testing.T) {
			s, domain := live(t, "store"), unique()
			t.Cleanup(func() { sweep(t, s, domain) })
			iptest.Share(t, func(string) ipam.Store { return s }, domain, cidr, 50, 4)
		})
	}
}

// Histories of nodes that crash, on a real API server, are those of locks, and
// nobody's address is ever another's.
func TestLiveHistoriesAreLinearizable(t *testing.T) {
	s, domain := live(t, "store"), unique()
	t.Cleanup(func() { sweep(t, s, domain) })
	ops, uses := linear.Drive(linear.Config{Store: func(string) ipam.Store { return s }, Domain: domain, Nodes: 5, Each: 3, Time: 15 * time.Second, Seed: 1})
	wrong, undecided := linear.Check(ops, 20*time.Second)
	duplicates := oracle.Duplicates(uses)
	if len(wrong)+len(undecided)+len(duplicates) > 0 {
		t.Errorf("not linearizable %v, undecided %v, duplicates %v", wrong, undecided, duplicates)
	}
	if len(ops) < 50 {
		t.Errorf("only %d calls", len(ops))
	}
	t.Logf("%d calls", len(ops))
}

func sweep(t *testing.T, s *Addresses, domain string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, resource := range []string{blockResource, addressResource, regionResource} {
		err := s.client.Delete().Resource(resource).Param("labelSelector", "tsunagu.dev/domain="+domain).Do(ctx).Error()
		if err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}
