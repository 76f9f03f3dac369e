package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// annotate edits the networks of a running Pod.
func annotate(t *testing.T, namespace, pod, networks string) {
	t.Helper()
	_, err := lab.Kubectl(within(t, 20*time.Second), "annotate", "pod", pod, "-n", namespace, "--overwrite", "k8s.v1.cni.cncf.io/networks="+networks)
	must(t, err)
}

// has waits until a Pod has interfaces of these names, in its network-status
// and inside, and gives it.
func has(t *testing.T, namespace, name string, limit time.Duration, want ...string) (pod drive.Pod) {
	t.Helper()
	must(t, drive.Until(within(t, limit), 20*time.Millisecond, func(ctx context.Context) error {
		pods, err := lab.Pods(ctx, namespace, "name="+name)
		if err != nil || len(pods) != 1 {
			return fmt.Errorf("Pod %s: %d of them, %w", name, len(pods), err)
		}
		pod = pods[0]
		var have []string
		for _, i := range pod.Interfaces {
			have = append(have, i.Name)
		}
		if !slices.Equal(have, want) {
			return fmt.Errorf("Pod %s has %v, want %v", name, have, want)
		}
		return nil
	}))
	inside, err := lab.PodExec(within(t, 20*time.Second), namespace, name, "ls", "/sys/class/net")
	must(t, err)
	have := strings.Fields(inside)
	slices.Sort(have)
	all := append(slices.Clone(want), "lo")
	slices.Sort(all)
	if !slices.Equal(have, all) {
		t.Fatalf("in Pod %s there are %v, want %v", name, have, all)
	}
	return pod
}

// An edit of a running Pod's annotation attaches and detaches networks within
// a second, in namespaces that permit it, while the Pod goes on; also when
// agents are killed all the time.
func TestLiveChanges(t *testing.T) {
	ns := room(t, "e2e-live")
	network(t, "e2e-live-a", ns, macvlan("up1", "192.168.71.0/24"))
	network(t, "e2e-live-b", ns, "reach: {interface: up2}\nattachment: {kind: bridge}\nsubnets:\n- cidr: 192.168.72.0/24")
	pod := create(t, ns, "one", "node2", "e2e-live-a")
	peer := create(t, ns, "peer", "node1", "e2e-live-a")

	annotate(t, ns, "one", "e2e-live-a,e2e-live-b")
	told := warning(t, ns, "one", 10*time.Second, "LiveChangeOff", "tsunagu.dev/network-changes=live")
	t.Log(told)
	has(t, ns, "one", 5*time.Second, "eth0", "net1")
	_, err := lab.Kubectl(within(t, 20*time.Second), "label", "namespace", ns, "tsunagu.dev/network-changes=live")
	must(t, err)
	has(t, ns, "one", 5*time.Second, "eth0", "net1", "net2")

	api, err := lab.Dial(within(t, time.Minute))
	must(t, err)
	defer api.Close()
	var worst time.Duration
	for i := range 6 {
		networks, want := "e2e-live-a,e2e-live-b,e2e-live-a@more", 4
		if i%2 == 1 {
			networks, want = "e2e-live-a", 2
		}
		took := edit(t, api, ns, "one", networks, want)
		worst = max(worst, took)
	}
	t.Logf("the slowest of 6 edits was in the network-status after %v", worst.Round(time.Millisecond))
	if worst > time.Second {
		t.Errorf("an edit took %v, want at most a second", worst)
	}
	now := has(t, ns, "one", 5*time.Second, "eth0", "net1")
	if address(t, now, ns+"/e2e-live-a", false) != address(t, pod, ns+"/e2e-live-a", false) {
		t.Errorf("net1 was not to be touched: it had %+v, has %+v", pod, now)
	}
	annotate(t, ns, "one", `[{"name":"e2e-live-a","ips":["192.168.71.77"]}]`)
	must(t, drive.Until(within(t, 10*time.Second), 50*time.Millisecond, func(ctx context.Context) error {
		p, err := api.Pod(ctx, ns, "one")
		if on, ok := p.On(ns + "/e2e-live-a"); err == nil && (!ok || on.IPs[0].String() != "192.168.71.77") {
			err = fmt.Errorf("it has %+v", on)
		}
		return err
	}))
	ping(t, peer, "net1", "192.168.71.77")
	annotate(t, ns, "one", `[{"name":"e2e-live-a","ips":["192.168.71.77"]},{"name":"e2e-live-c"}]`)
	warning(t, ns, "one", 10*time.Second, "UnknownNetwork", "e2e-live-c")
	has(t, ns, "one", 5*time.Second, "eth0", "net1")
	ping(t, peer, "net1", "192.168.71.77")

	t.Run("agents are killed", func(t *testing.T) { liveWhileAgentsAreKilled(t, ns) })

	after, err := lab.Pods(within(t, 20*time.Second), ns, "name=one")
	must(t, err)
	if len(after) != 1 || after[0].UID != pod.UID {
		t.Errorf("it is another Pod now: %+v", after)
	}
	_, err = lab.Kubectl(within(t, time.Minute), "delete", "pods", "--all", "-n", ns)
	must(t, err)
	free(t, "e2e-live-a", "")
	free(t, "e2e-live-b", "")
}

// edit changes an annotation, and gives how long it took until the Pod's
// network-status told so many interfaces.
func edit(t *testing.T, api *drive.API, ns, name, networks string, want int) time.Duration {
	t.Helper()
	quoted, err := json.Marshal(networks)
	must(t, err)
	ctx := within(t, 30*time.Second)
	begun := time.Now()
	patch := json.RawMessage(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":` + string(quoted) + `}}}`)
	must(t, api.Do(ctx, "PATCH", "/api/v1/namespaces/"+ns+"/pods/"+name, patch, nil))
	must(t, drive.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		p, err := api.Pod(ctx, ns, name)
		if err == nil && len(p.Interfaces) != want {
			err = fmt.Errorf("%d interfaces, want %d", len(p.Interfaces), want)
		}
		return err
	}))
	return time.Since(begun)
}

func liveWhileAgentsAreKilled(t *testing.T, ns string) {
	const pods, edits = 4, 12
	names := make([]string, pods)
	for i := range names {
		names[i] = fmt.Sprintf("many-%d", i)
		must(t, lab.Apply(within(t, 20*time.Second), pod(ns, names[i], "node2", "e2e-live-a")))
	}
	for _, name := range names {
		_, err := lab.Ready(within(t, 2*time.Minute), ns, "name="+name, 1)
		must(t, err)
	}
	stop := make(chan struct{})
	var killer sync.WaitGroup
	kills := 0
	killer.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(100+rand.IntN(900)) * time.Millisecond):
			}
			if n, err := lab.Kill("node2", "tsunagu-agent"); err != nil {
				t.Error(err)
			} else {
				kills += n
			}
		}
	})
	choices := []string{"e2e-live-b", "e2e-live-a,e2e-live-b", "e2e-live-b@net1", "e2e-live-a@x,e2e-live-a@y,e2e-live-b@z", ""}
	for range edits {
		for _, name := range names {
			annotate(t, ns, name, choices[rand.IntN(len(choices))])
		}
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
	}
	for _, name := range names {
		annotate(t, ns, name, "e2e-live-a@last,e2e-live-b@end")
	}
	close(stop)
	killer.Wait()
	var all []drive.Pod
	for _, name := range names {
		all = append(all, has(t, ns, name, 2*time.Minute, "eth0", "last", "end"))
	}
	if found := drive.Duplicates(all); len(found) > 0 {
		t.Errorf("addresses held twice: %v", found)
	}
	t.Logf("%d edits of %d Pods, %d agents killed", edits*pods, pods, kills)
}
