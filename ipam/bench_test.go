package ipam_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/journal"
)

// BenchmarkTakeFree is one interface that comes and goes on a node that holds
// addresses, with a journal on tmpfs, while so many others stay.
func BenchmarkTakeFree(b *testing.B) {
	for _, others := range []int{0, 1000, 50000} {
		b.Run(fmt.Sprintf("held=%d", others), func(b *testing.B) {
			path := filepath.Join("/dev/shm", fmt.Sprintf("tstipam-%d", os.Getpid()))
			j, _, err := journal.Open(context.Background(), path, journal.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = j.Close(); _ = os.Remove(path); _ = os.Remove(path + ".lock") }()
			store := iptest.NewStore()
			a, err := ipam.New(ipam.Options{Node: "n", NodeUID: "u", Store: store.As("n"), Log: j, Nodes: 3})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = a.Run(ctx) }()
			defer func() { cancel(); <-done }()
			parsed, err := ipam.ParseConfig([]byte(`{"type":"tsunagu","network_name":"blue","range":"10.0.0.0/15","gateway":"10.0.0.1"}`))
			if err != nil {
				b.Fatal(err)
			}

			wants := []ipam.Want{{Pool: parsed.AllPools()[0]}}
			owner := func(i int) ipam.Owner {
				return ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprintf("%064d", i), IfName: "net1"}, Namespace: "default", Pod: "web-7f9c", UID: "6f1c3c0e-8d0c-4a59-9f4e-2f0f6b8f1c11", Network: "default/blue"}
			}
			for i := range others + 1 {
				if _, err := a.Take(ctx, owner(i), wants); err != nil {
					b.Fatal(err)
				}
			}
			one := owner(1 << 30)
			before := store.Count("create", "block")
			b.ReportAllocs()
			var each []time.Duration
			for b.Loop() {
				begun := time.Now()
				if _, err := a.Take(ctx, one, wants); err != nil {
					b.Fatal(err)
				}
				if err := a.Free(ctx, one.Key); err != nil {
					b.Fatal(err)
				}
				each = append(each, time.Since(begun))
			}
			slices.Sort(each) // the median: other work of the machine is in the mean
			b.ReportMetric(float64(each[len(each)/2]), "p50-ns")
			b.ReportMetric(float64(store.Count("create", "block")-before), "claims")
		})
	}
}
