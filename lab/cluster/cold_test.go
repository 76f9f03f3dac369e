package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/image"
)

// madeByStandIn is what the Pod network's stand-in writes when it has found the API.
const madeByStandIn = "/etc/cni/net.d/10-stand-in.conflist"

// standIn is a Pod network of which nothing is there but what makes deadlocks: it
// needs the API by the control plane's address, and no node is ready before it.
const standIn = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: stand-in, namespace: kube-system}
spec:
  selector: {matchLabels: {app: stand-in}}
  template:
    metadata: {labels: {app: stand-in}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      containers:
      - name: stand-in
        image: %s
        command: [sh, -c]
        args:
        - |
          until curl -skf --max-time 2 https://%s:6443/readyz; do sleep 0.2; done
          echo '{"cniVersion":"1.0.0","name":"stand-in","plugins":[{"type":"loopback"}]}' >/cni/next
          mv /cni/next /host%s
          while :; do sleep 3600; done
        volumeMounts: [{name: cni, mountPath: /cni}, {name: cni, mountPath: /host/etc/cni/net.d}]
      volumes: [{name: cni, hostPath: {path: /etc/cni/net.d, type: DirectoryOrCreate}}]
`

// coldStarts switches everything off at once and on again, TSUNAGU_COLD_STARTS times
// (once otherwise). There is no kube-proxy: the Pod network needs the address, the
// address must need neither it nor an API server, and all comes up by itself.
func (c *Cluster) coldStarts(ctx context.Context, t *testing.T, client *api) {
	times := 1
	if text := os.Getenv("TSUNAGU_COLD_STARTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("TSUNAGU_COLD_STARTS=%q is no number of starts", text)
		}
		times = n
	}
	if err := client.apply(ctx, "/apis/apps/v1/namespaces/kube-system/daemonsets/stand-in", fmt.Sprintf(standIn, image.Busybox, c.state.Options.VIP, madeByStandIn)); err != nil {
		t.Fatal(err)
	}
	if took, err := c.allReady(ctx, client, time.Now().Add(-time.Minute)); err != nil {
		t.Fatalf("before the first cold start: %v after %s", err, took)
	}
	for i := range times {
		for _, n := range c.Nodes() {
			if _, err := c.Exec(ctx, n.Name, "rm", "-f", madeByStandIn); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range c.Nodes() {
			if err := c.StopNode(n.Name); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for _, n := range c.Nodes() {
			if err := c.StartNode(ctx, n.Name); err != nil {
				t.Fatal(err)
			}
		}
		took, err := c.allReady(ctx, client, began)
		if err != nil {
			t.Fatalf("cold start %d of %d: %v", i+1, times, err)
		}
		t.Logf("cold start %d of %d: every node is ready after %s", i+1, times, took.Round(time.Second/10))
	}
}

// allReady waits until each node has said since a time that it is ready, with the
// Pod network's file there.
func (c *Cluster) allReady(ctx context.Context, client *api, since time.Time) (took time.Duration, err error) {
	began := time.Now()
	err = await(ctx, 3*time.Minute, func() error {
		for _, n := range c.Nodes() {
			if _, err := c.Exec(ctx, n.Name, "test", "-e", madeByStandIn); err != nil {
				return fmt.Errorf("the Pod network of %s has not found the API: %w", n.Name, err)
			}
			if err := readySince(ctx, client, n.Name, since); err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(began), err
}

func readySince(ctx context.Context, client *api, node string, since time.Time) error {
	var seen struct {
		Status struct {
			Conditions []struct {
				Type, Status, Reason string
				LastHeartbeatTime    time.Time
			}
		}
	}
	if err := client.get(ctx, "/api/v1/nodes/"+node, &seen); err != nil {
		return err
	}
	for _, x := range seen.Status.Conditions {
		if x.Type != "Ready" {
			continue
		}
		if x.Status != "True" || x.LastHeartbeatTime.Before(since.Truncate(time.Second)) {
			return fmt.Errorf("%s: ready %s (%s) at %s", node, x.Status, x.Reason, x.LastHeartbeatTime)
		}
		return nil
	}
	return errors.New(node + " has not said whether it is ready")
}
