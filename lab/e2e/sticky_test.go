package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// statefulSet is one whose Pods have extra networks and go at once.
func statefulSet(namespace, name, networks string, replicas int) string {
	quoted, _ := json.Marshal(networks)
	return fmt.Sprintf(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: %[4]d
  serviceName: %[1]s
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata:
      labels: {app: %[1]s}
      annotations:
        k8s.v1.cni.cncf.io/networks: %[3]s
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: %[5]s
        args: [netexec, --http-port=8080]
`, name, namespace, quoted, replicas, agnhost)
}

// faces tells what each Pod has on its extra networks, by the Pod's name.
func faces(pods []drive.Pod) map[string]string {
	all := map[string]string{}
	for _, p := range pods {
		var words []string
		for _, i := range p.Interfaces {
			if !i.Default {
				words = append(words, fmt.Sprint(i.Network, " ", i.Name, " ", i.MAC, " ", i.IPs))
			}
		}
		all[p.Name] = strings.Join(words, "; ")
	}
	return all
}

// same waits until n Pods are ready, none of them one of before, and fails if
// one has not what it had.
func same(t *testing.T, what, namespace, selector string, n int, want map[string]string, before []drive.Pod) []drive.Pod {
	t.Helper()
	begun := time.Now()
	old := map[string]bool{}
	for _, p := range before {
		old[p.UID] = true
	}
	var pods []drive.Pod
	must(t, drive.Until(within(t, 3*time.Minute), 500*time.Millisecond, func(ctx context.Context) (err error) {
		if pods, err = lab.Ready(ctx, namespace, selector, n); err != nil {
			return err
		}
		for _, p := range pods {
			if old[p.UID] {
				return fmt.Errorf("%s is still the old one", p.Name)
			}
		}
		return nil
	}))
	if found := drive.Duplicates(pods); len(found) > 0 {
		t.Fatalf("%s: addresses held twice: %v", what, found)
	}
	if got := faces(pods); want != nil && !maps.Equal(got, want) {
		t.Fatalf("%s: the Pods have %q, they had %q", what, got, want)
	}
	t.Logf("%s: after %.1f s", what, time.Since(begun).Seconds())
	return pods
}

// free waits until a pool has no address in use and no IPAddress is left in
// its domain.
func free(t *testing.T, domain, pool string) {
	t.Helper()
	must(t, drive.Until(within(t, time.Minute), 500*time.Millisecond, func(ctx context.Context) error {
		left, err := lab.Kubectl(ctx, "get", "ipaddresses.tsunagu.dev", "-l", "tsunagu.dev/domain="+domain, "-o", "name")
		if err != nil || strings.TrimSpace(left) != "" {
			return fmt.Errorf("left in domain %s: %s %w", domain, left, err)
		}
		if pool == "" {
			return nil
		}
		used, err := lab.Kubectl(ctx, "get", "ippools.tsunagu.dev", pool, "-o", "jsonpath={.status.used}")
		if err != nil || strings.TrimSpace(used) != "0" && strings.TrimSpace(used) != "" {
			return fmt.Errorf("IPPool %s has %s in use, %v", pool, used, err)
		}
		return nil
	}))
}

func scaleSet(t *testing.T, namespace, name string, n int) {
	t.Helper()
	_, err := lab.Kubectl(within(t, 20*time.Second), "scale", "statefulset", name, "-n", namespace, fmt.Sprintf("--replicas=%d", n))
	must(t, err)
}

// Pods of a StatefulSet keep addresses and MACs over scaling to 0, a rolling
// update while agents are killed, and a move to another node; all of it goes
// with the StatefulSet.
func TestStatefulSetKeepsItsAddresses(t *testing.T) {
	ns := room(t, "e2e-sticky")
	network(t, "e2e-sticky", ns, macvlan("up1", "192.168.90.0/24")+"\n- cidr: 'fd00:90::/112'")
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: legacy, namespace: `+ns+`}
spec:
  config: '{"cniVersion":"0.3.1","type":"macvlan","master":"up1","ipam":{"type":"whereabouts","network_name":"e2e-legacy","range":"192.168.91.0/28"}}'
`))
	must(t, lab.Apply(within(t, 20*time.Second), statefulSet(ns, "web", "e2e-sticky, legacy", 3)))
	pods := same(t, "first", ns, "app=web", 3, nil, nil)
	want := faces(pods)
	for name, face := range want {
		if !strings.Contains(face, "192.168.90.") || !strings.Contains(face, "192.168.91.") || !strings.Contains(face, "fd00:90::") {
			t.Fatalf("%s has %q", name, face)
		}
	}
	claims, err := lab.Kubectl(within(t, 20*time.Second), "get", "ipclaims.tsunagu.dev", "-n", ns)
	must(t, err)
	if n := strings.Count(claims, "web-"); n < 6 {
		t.Errorf("want 6 claims, have\n%s", claims)
	}
	t.Logf("\n%s", claims)

	scaleSet(t, ns, "web", 0)
	must(t, lab.Gone(within(t, time.Minute), ns, "app=web"))
	stranger := create(t, ns, "stranger", "", "e2e-sticky, legacy")
	for name, face := range want {
		for _, i := range stranger.Interfaces {
			if !i.Default && strings.Contains(face, " "+fmt.Sprint(i.IPs)) {
				t.Fatalf("the stranger has an address of %s: %v", name, i)
			}
		}
	}
	scaleSet(t, ns, "web", 3)
	pods = same(t, "3→0→3", ns, "app=web", 3, want, pods)

	killing, stop := context.WithCancel(t.Context())
	killed := make(chan int)
	go func() {
		n := 0
		for killing.Err() == nil {
			k, _ := lab.Kill(nodes[rand.Intn(2)], "tsunagu-agent")
			n += k
			time.Sleep(time.Second)
		}
		killed <- n
	}()
	_, err = lab.Kubectl(within(t, 20*time.Second), "rollout", "restart", "statefulset/web", "-n", ns)
	must(t, err)
	pods = same(t, "rolling update while agents die", ns, "app=web", 3, want, pods)
	stop()
	t.Logf("agents were killed %d times", <-killed)

	home := pods[0].Node
	_, err = lab.Kubectl(within(t, 20*time.Second), "cordon", home)
	must(t, err)
	t.Cleanup(func() { _, _ = lab.Kubectl(context.Background(), "uncordon", home) })
	_, err = lab.Kubectl(within(t, time.Minute), "delete", "pod", "-n", ns, pods[0].Name)
	must(t, err)
	moved := same(t, "move", ns, "app=web", 3, want, pods[:1])
	if moved[0].Node == home {
		t.Errorf("%s is on %s again", moved[0].Name, home)
	}
	ping(t, moved[0], "net1", address(t, stranger, ns+"/e2e-sticky", false))
	_, err = lab.Kubectl(within(t, 20*time.Second), "uncordon", home)
	must(t, err)

	_, err = lab.Kubectl(within(t, time.Minute), "delete", "statefulset/web", "pod/stranger", "-n", ns)
	must(t, err)
	must(t, lab.Gone(within(t, time.Minute), ns, "app=web"))
	must(t, drive.Until(within(t, time.Minute), 500*time.Millisecond, func(ctx context.Context) error {
		left, err := lab.Kubectl(ctx, "get", "ipclaims.tsunagu.dev", "-n", ns, "-o", "name")
		if err == nil && strings.TrimSpace(left) != "" {
			err = fmt.Errorf("claims are left: %s", left)
		}
		return err
	}))
	free(t, "e2e-legacy", "")
	free(t, "e2e-sticky", "e2e-sticky-192-168-90-0-24")
}

// Without a Pod addresses are kept for as long as the pool says.
func TestStickyAddressesAreKeptForAWhile(t *testing.T) {
	ns := room(t, "e2e-retain")
	network(t, "e2e-retain", ns, macvlan("up1", "192.168.92.0/28")+"\n  retention: 10s")
	must(t, lab.Apply(within(t, 20*time.Second), statefulSet(ns, "web", "e2e-retain", 1)))
	pods := same(t, "first", ns, "app=web", 1, nil, nil)
	scaleSet(t, ns, "web", 0)
	must(t, lab.Gone(within(t, time.Minute), ns, "app=web"))
	scaleSet(t, ns, "web", 1)
	same(t, "in time", ns, "app=web", 1, faces(pods), pods)
	scaleSet(t, ns, "web", 0)
	must(t, lab.Gone(within(t, time.Minute), ns, "app=web"))
	idle := time.Now()
	free(t, "e2e-retain", "e2e-retain-192-168-92-0-28")
	if kept := time.Since(idle); kept < 5*time.Second || kept > 30*time.Second {
		t.Errorf("kept for %v", kept)
	}
}

// A claim made by hand gives its address and MAC to the Pod that names it, one
// at a time, and a claim that does not exist is refused with near names.
func TestClaimsByHand(t *testing.T) {
	ns := room(t, "e2e-hand")
	network(t, "e2e-hand", ns, macvlan("up1", "192.168.93.0/24"))
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: tsunagu.dev/v1alpha1
kind: IPClaim
metadata: {name: vm-a, namespace: `+ns+`}
spec: {network: e2e-hand, addresses: [192.168.93.77], mac: "02:00:00:00:93:77"}
`))
	const asks = `[{"name":"e2e-hand","ipam-claim-reference":"vm-a"}]`
	one := create(t, ns, "one", "node1", asks)
	if on, _ := one.On(ns + "/e2e-hand"); fmt.Sprint(on.IPs, on.MAC) != "[192.168.93.77]02:00:00:00:93:77" {
		t.Fatalf("it has %+v", on)
	}
	ctx := within(t, 2*time.Minute)
	must(t, lab.Apply(ctx, pod(ns, "two", "node2", asks)))
	warning(t, ns, "two", 30*time.Second, "ClaimInUse", "192.168.93.77", "Pod "+ns+"/one on node node1")
	must(t, lab.Apply(ctx, pod(ns, "typo", "node2", `[{"name":"e2e-hand","ipam-claim-reference":"vm-b"}]`)))
	warning(t, ns, "typo", 30*time.Second, "UnknownClaim", "near names: vm-a")
	_, err := lab.Kubectl(ctx, "delete", "pod", "-n", ns, "one", "typo")
	must(t, err)
	two, err := lab.Ready(ctx, ns, "name=two", 1)
	must(t, err)
	if on, _ := two[0].On(ns + "/e2e-hand"); fmt.Sprint(on.IPs, on.MAC) != "[192.168.93.77]02:00:00:00:93:77" {
		t.Fatalf("the next Pod has %+v", on)
	}
	_, err = lab.Kubectl(ctx, "delete", "ipclaim", "-n", ns, "vm-a")
	must(t, err)
	ping(t, two[0], "", address(t, two[0], "", false)) // it goes on
	left, err := lab.Kubectl(ctx, "get", "ipaddresses.tsunagu.dev", "-l", "tsunagu.dev/domain=e2e-hand", "-o", "name")
	must(t, err)
	if strings.Count(left, "ipaddress") != 1 {
		t.Errorf("a Pod uses it, and the address objects are %q", left)
	}
	_, err = lab.Kubectl(ctx, "delete", "pod", "-n", ns, "two")
	must(t, err)
	free(t, "e2e-hand", "e2e-hand-192-168-93-0-24")
}

// While a virtual machine migrates the Pod that it comes from and the one that it goes to have its address and MAC; nobody else gets
// them, and who is left at the end has them.
func TestVirtualMachineMigrates(t *testing.T) {
	ns := room(t, "e2e-migrate")
	network(t, "e2e-migrate", ns, macvlan("up1", "192.168.97.0/24"))
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: tsunagu.dev/v1alpha1
kind: IPClaim
metadata: {name: vm-a, namespace: `+ns+`}
spec: {network: e2e-migrate, addresses: [192.168.97.77], mac: "02:00:00:00:97:77"}
`))
	const asks = `[{"name":"e2e-migrate","ipam-claim-reference":"vm-a"}]`
	const face = "[192.168.97.77] 02:00:00:00:97:77"
	on := func(p drive.Pod) string {
		i, _ := p.On(ns + "/e2e-migrate")
		return fmt.Sprint(i.IPs, " ", i.MAC)
	}
	source := create(t, ns, "source", "node1", asks)
	must(t, lab.Apply(within(t, 20*time.Second), strings.Replace(pod(ns, "target", "node2", asks), "labels: {", `labels: {kubevirt.io/migrationJobUID: "1f0a", `, 1)))
	targets, err := lab.Ready(within(t, time.Minute), ns, "name=target", 1)
	must(t, err)
	if on(source) != face || on(targets[0]) != face {
		t.Fatalf("the source has %s, the target %s", on(source), on(targets[0]))
	}
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "third", "node3", asks)))
	t.Log(warning(t, ns, "third", 30*time.Second, "ClaimInUse", "192.168.97.77"))
	for _, node := range []string{"node1", "node2"} { // what both know survives
		_, err := lab.Kill(node, "tsunagu-agent")
		must(t, err)
	}
	_, err = lab.Kubectl(within(t, time.Minute), "delete", "pod", "-n", ns, "source", "third")
	must(t, err)
	owner := ""
	must(t, drive.Until(within(t, 30*time.Second), 500*time.Millisecond, func(ctx context.Context) (err error) {
		owner, err = lab.Kubectl(ctx, "get", "ipaddresses.tsunagu.dev", "-l", "tsunagu.dev/domain=e2e-migrate", "-o", "jsonpath={.items[*].spec.owner.pod} {.items[*].spec.incoming.pod}")
		if err == nil && strings.TrimSpace(owner) != "target" {
			err = fmt.Errorf("the address is %q's", owner)
		}
		return err
	}))
	stranger := create(t, ns, "other", "node3", "e2e-migrate")
	ping(t, targets[0], "net1", address(t, stranger, ns+"/e2e-migrate", false))
	ping(t, stranger, "net1", "192.168.97.77")
	_, err = lab.Kubectl(within(t, time.Minute), "delete", "pod", "-n", ns, "target", "other")
	must(t, err)
	_, err = lab.Kubectl(within(t, 20*time.Second), "delete", "ipclaim", "-n", ns, "vm-a")
	must(t, err)
	free(t, "e2e-migrate", "e2e-migrate-192-168-97-0-24")
}
