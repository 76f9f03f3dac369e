package e2e

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

const replicas = 30

// swarm is a Deployment of 30 on two extra networks.
func swarm(namespace string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: swarm, namespace: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: swarm}}
  template:
    metadata:
      labels: {app: swarm}
      annotations: {k8s.v1.cni.cncf.io/networks: "%s-a, %s-b"}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: c, image: "%s", args: [pause]}
`, namespace, replicas, namespace, namespace, agnhost)
}

func swarmNetworks(t *testing.T, ns string) {
	network(t, ns+"-a", ns, macvlan("up1", "192.168.101.0/24\n  exclude: [192.168.101.254]"))
	network(t, ns+"-b", ns, macvlan("up2", "10.66.0.0/26"))
}

func scale(ctx context.Context, ns string, n int) error {
	_, err := lab.Kubectl(ctx, "scale", "-n", ns, "deployment/swarm", fmt.Sprintf("--replicas=%d", n))
	return err
}

// upAndDown scales 0→30→0 and checks after each ascent that no address is held
// twice anywhere in the cluster.
func upAndDown(t *testing.T, ns string, times int) {
	t.Helper()
	for i := range times {
		begin := time.Now()
		ctx := within(t, 4*time.Minute)
		must(t, drive.Until(ctx, time.Second, func(ctx context.Context) error { return scale(ctx, ns, replicas) }))
		pods, err := lab.Ready(ctx, ns, "app=swarm", replicas)
		must(t, err)
		if found := drive.Duplicates(pods); len(found) > 0 {
			t.Fatalf("addresses held twice: %s", strings.Join(found, "; "))
		}
		for _, p := range pods {
			if len(p.Interfaces) != 3 {
				t.Fatalf("Pod %s has %d interfaces, want 3: %+v", p.Name, len(p.Interfaces), p.Interfaces)
			}
		}
		up := time.Since(begin)
		must(t, drive.Until(ctx, time.Second, func(ctx context.Context) error { return scale(ctx, ns, 0) }))
		must(t, lab.Gone(ctx, ns, "app=swarm"))
		t.Logf("round %d: %d Pods ready after %.1f s, gone after %.1f s", i+1, replicas, up.Seconds(), time.Since(begin).Seconds())
	}
}

// 30 Pods on two extra networks come and go; nothing is held twice, nothing
// stays behind.
func TestScaleLeavesNothing(t *testing.T) {
	ns := room(t, "e2e-scale")
	swarmNetworks(t, ns)
	before := snapshot(t)
	must(t, lab.Apply(within(t, 20*time.Second), swarm(ns)))
	upAndDown(t, ns, cycles(2))
	settles(t, before)
}

// The same while agents are killed with SIGKILL at random, about one a second.
func TestScaleWhileAgentsDie(t *testing.T) {
	ns := room(t, "e2e-kill")
	swarmNetworks(t, ns)
	before := snapshot(t)
	must(t, lab.Apply(within(t, 20*time.Second), swarm(ns)))
	killing, stop := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		killed := 0
		for killing.Err() == nil {
			n, _ := lab.Kill(nodes[rand.Intn(len(nodes))], "tsunagu-agent")
			killed += n
			time.Sleep(time.Second)
		}
		done <- killed
	}()
	upAndDown(t, ns, cycles(1))
	stop()
	t.Logf("agents were killed %d times", <-done)
	upAndDown(t, ns, 1)
	settles(t, before)
}

// The same with the API server stopped for 20 s in the middle.
func TestScaleWithoutAPIServer(t *testing.T) {
	ns := room(t, "e2e-noapi")
	swarmNetworks(t, ns)
	before := snapshot(t)
	must(t, lab.Apply(within(t, 20*time.Second), swarm(ns)))
	stopped := make(chan error, 1)
	go func() {
		time.Sleep(3 * time.Second)
		_, err := lab.Tell(context.Background(), "stop", "node1", "kube-apiserver")
		time.Sleep(20 * time.Second)
		if _, again := lab.Tell(context.Background(), "start", "node1", "kube-apiserver"); err == nil {
			err = again
		}
		stopped <- err
	}()
	upAndDown(t, ns, 1)
	must(t, <-stopped)
	upAndDown(t, ns, 1)
	settles(t, before)
}

// A Pod deleted and re-created under its name while the agent restarts neither
// loses nor shares an address.
func TestSameNameDuringAgentRestart(t *testing.T) {
	ns := room(t, "e2e-again")
	network(t, "e2e-again", ns, macvlan("up1", "192.168.80.0/28"))
	before := snapshot(t)
	witness := create(t, ns, "witness", "node2", "e2e-again")
	for range 3 {
		create(t, ns, "same", "node1", "e2e-again")
		ctx := within(t, time.Minute)
		_, err := lab.Kubectl(ctx, "delete", "pod", "-n", ns, "same", "--wait=false")
		must(t, err)
		_, err = lab.Kill("node1", "tsunagu-agent")
		must(t, err)
		must(t, drive.Until(ctx, 200*time.Millisecond, func(ctx context.Context) error {
			return lab.Apply(ctx, pod(ns, "same", "node1", "e2e-again"))
		}))
		must(t, drive.Until(ctx, 500*time.Millisecond, func(ctx context.Context) error {
			pods, err := lab.Pods(ctx, ns, "name=same")
			if err == nil && (len(pods) != 1 || !pods[0].Ready || pods[0].Deleted) {
				// Applied onto the Pod that was going: make it anew.
				_ = lab.Apply(ctx, pod(ns, "same", "node1", "e2e-again"))
				err = fmt.Errorf("Pod same is not ready again")
			}
			return err
		}))
		pods, err := lab.Pods(ctx, ns, "")
		must(t, err)
		if found := drive.Duplicates(pods); len(found) > 0 {
			t.Fatalf("addresses held twice: %v", found)
		}
		for _, p := range pods {
			if p.Name == "same" {
				ping(t, p, "net1", address(t, witness, ns+"/e2e-again", false))
			}
		}
	}
	_, err := lab.Kubectl(within(t, time.Minute), "delete", "pod", "-n", ns, "--all")
	must(t, err)
	settles(t, before)
}
