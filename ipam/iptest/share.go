package iptest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Share lets nodes share a subnet in a domain, each for so many Pods one
// after the other, and fails if an address has two users or somebody waits
// for a minute. store is a node's way to what they agree by.
func Share(t *testing.T, store func(node string) ipam.Store, domain, cidr string, nodes, pods int) {
	pool := ipam.Pool{Name: domain, Domain: domain, Prefix: netip.MustParsePrefix(cidr)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var mu sync.Mutex
	users, waits := map[netip.Prefix]string{}, []time.Duration{}
	var lives sync.WaitGroup
	for i := range nodes {
		node := fmt.Sprintf("%s-node-%d", domain, i)
		a, err := ipam.New(ipam.Options{Node: node, NodeUID: node, Store: store(node), Log: new(Disk).Boot(), Nodes: nodes})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = a.Run(ctx) })
		lives.Go(func() {
			for n := range pods {
				o := ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprintf("%s-%d", node, n), IfName: "net1"}, Namespace: "share", Pod: node}
				begun := time.Now()
				for {
					grants, err := a.Take(ctx, o, []ipam.Want{{Pool: pool}})
					if err == nil {
						mu.Lock()
						waits = append(waits, time.Since(begun))
						if other := users[grants[0].Address]; other != "" {
							t.Errorf("%v is used by %s and %s", grants[0].Address, other, o.Key)
						}
						users[grants[0].Address] = o.Key.String()
						mu.Unlock()
						time.Sleep(20 * time.Millisecond)
						mu.Lock()
						delete(users, grants[0].Address)
						mu.Unlock()
						break
					}
					if r := ipam.ReasonOf(err); r != ipam.PoolFull && r != ipam.Unavailable || time.Since(begun) > time.Minute {
						t.Errorf("%s, after %v: %v", node, time.Since(begun), err)
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
				if err := a.Free(ctx, o.Key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	begun := time.Now()
	lives.Wait()
	slices.Sort(waits)
	if n := len(waits); n > 0 {
		t.Logf("%d lifecycles in %v, waits p50 %v, p99 %v, longest %v", n, time.Since(begun).Round(time.Millisecond), waits[n/2], waits[n*99/100], waits[n-1])
	}
}
