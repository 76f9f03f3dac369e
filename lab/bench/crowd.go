package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How large the cluster is that the controller is measured in.
const (
	crowdNodes, crowdNetworks = 1000, 50
	// absentNetwork is one that no node has: of it the controller has the most to say.
	absentNetwork = "absent"
)

func crowdNetwork(i int) string { return fmt.Sprintf("crowd%d", i) }
func crowdNode(i int) string    { return fmt.Sprintf("crowd-%d", i) }

// crowd makes nodes without anything behind them, what their agents would say, and the Networks.
func (a *api) crowd(ctx context.Context) error {
	for i := range crowdNetworks + 1 {
		name := crowdNetwork(i)
		if i == crowdNetworks {
			name = absentNetwork
		}
		text := fmt.Sprintf(`{"apiVersion":"tsunagu.dev/v1alpha1","kind":"Network","metadata":{"name":%q},"spec":{"reach":{"trunk":"eth1","vlan":%d},"attachment":{"kind":"bridge"}}}`, name, i+100)
		if err := a.apply(ctx, "/apis/tsunagu.dev/v1alpha1/networks/"+name, text); err != nil {
			return err
		}
	}
	return atOnce(crowdNodes, func(i int) error {
		name := crowdNode(i)
		for path, kind := range map[string]string{"/api/v1/nodes": `"apiVersion":"v1","kind":"Node"`, nodeNetworksPath: `"apiVersion":"tsunagu.dev/v1alpha1","kind":"NodeNetwork"`} {
			if err := a.call(ctx, "POST", path, "application/json", fmt.Appendf(nil, `{%s,"metadata":{"name":%q}}`, kind, name), nil); err != nil {
				return err
			}
		}
		return a.says(ctx, i, 0)
	})
}

const nodeNetworksPath = "/apis/tsunagu.dev/v1alpha1/nodenetworks"

// says writes what the agent of a node would: that it has all networks, but for the first few.
func (a *api) says(ctx context.Context, node, degraded int) error {
	var networks []map[string]string
	for i := range crowdNetworks {
		s := map[string]string{"name": crowdNetwork(i), "phase": "Ready", "interface": "eth1", "message": "interface eth1 is up and has carrier"}
		if i < degraded {
			s["phase"], s["message"] = "Degraded", "interface eth1 has no carrier"
		}
		networks = append(networks, s)
	}
	networks = append(networks, map[string]string{"name": absentNetwork, "phase": "Missing", "message": "the node has no interface eth9; it has eth0, eth1"})
	status, err := json.Marshal(map[string]any{"status": map[string]any{"heartbeat": time.Now().UTC().Format(time.RFC3339), "networks": networks}})
	if err != nil {
		return err
	}
	return a.call(ctx, "PATCH", nodeNetworksPath+"/"+crowdNode(node)+"/status", "application/merge-patch+json", status, nil)
}

// labelled counts the nodes of the crowd that have just so many networks by their labels.
func (a *api) labelled(ctx context.Context) (count map[int]int, err error) {
	var nodes struct {
		Items []struct {
			Metadata struct {
				Name   string
				Labels map[string]string
			}
		}
	}
	if err := a.get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return nil, err
	}
	count = map[int]int{}
	for _, n := range nodes.Items {
		if n.Metadata.Name != nodeName {
			count[len(n.Metadata.Labels)]++
		}
	}
	return count, nil
}

// atOnce calls f for all numbers below n, some at a time.
func atOnce(n int, f func(int) error) error {
	work, errs := make(chan int), make([]error, n)
	var crew sync.WaitGroup
	for range 16 {
		crew.Go(func() {
			for i := range work {
				errs[i] = f(i)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	crew.Wait()
	return errors.Join(errs...)
}
