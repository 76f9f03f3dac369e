package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

const agnhost = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"

// room makes a namespace for a test, removed with everything in it at its end.
func room(t *testing.T, name string) string {
	t.Helper()
	ctx := within(t, time.Minute)
	must(t, lab.Apply(ctx, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+name+"}\n"))
	must(t, drive.Until(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		_, err := lab.Kubectl(ctx, "get", "serviceaccount", "default", "-n", name)
		return err
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if _, err := lab.Kubectl(ctx, "delete", "namespace", name, "--timeout=110s"); err != nil {
			t.Errorf("removing namespace %s: %v", name, err)
		}
	})
	return name
}

// network makes a Network for a test, open to one namespace, and waits for its
// NetworkAttachmentDefinition.
func network(t *testing.T, name, namespace, spec string) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	must(t, lab.Apply(ctx, "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: "+name+"}\nspec:\n  namespaces: {names: ["+namespace+"]}\n"+indent(spec)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := lab.Kubectl(ctx, "delete", "networks.tsunagu.dev", name); err != nil {
			t.Errorf("removing Network %s: %v", name, err)
		}
	})
	must(t, drive.Until(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		_, err := lab.Kubectl(ctx, "get", "network-attachment-definitions", name, "-n", namespace)
		return err
	}))
}

func indent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = "  " + l
	}
	return strings.Join(lines, "\n") + "\n"
}

// macvlan is a Network on an uplink with one subnet.
func macvlan(uplink, cidr string) string {
	return "reach: {interface: " + uplink + "}\nattachment: {kind: macvlan}\nsubnets:\n- cidr: " + cidr
}

// pod is the manifest of a Pod with a networks annotation and, if node is not
// empty, a place.
func pod(namespace, name, node, networks string) string {
	at := ""
	if node != "" {
		at = "\n  nodeName: " + node
	}
	note := ""
	if networks != "" {
		quoted, _ := json.Marshal(networks)
		note = "\n  annotations:\n    k8s.v1.cni.cncf.io/networks: " + string(quoted)
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: %s
  labels: {name: %s}%s
spec:%s
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: %s
    args: [netexec, --http-port=8080, --udp-port=8081]
`, name, namespace, name, note, at, agnhost)
}

// create makes a Pod and waits until it is ready.
func create(t *testing.T, namespace, name, node, networks string) drive.Pod {
	t.Helper()
	ctx := within(t, time.Minute)
	must(t, lab.Apply(ctx, pod(namespace, name, node, networks)))
	pods, err := lab.Ready(ctx, namespace, "name="+name, 1)
	must(t, err)
	return pods[0]
}

// address returns the Pod's first address of a family on a network.
func address(t *testing.T, p drive.Pod, network string, v6 bool) string {
	t.Helper()
	on, ok := p.On(network)
	if !ok {
		t.Fatalf("Pod %s has no interface on %q: %+v", p.Name, network, p.Interfaces)
	}
	for _, ip := range on.IPs {
		if ip.Is6() == v6 {
			return ip.String()
		}
	}
	t.Fatalf("Pod %s has no address of that family on %q: %+v", p.Name, network, on)
	return ""
}

// ping sends one packet from a Pod, by a device if one is named.
func ping(t *testing.T, from drive.Pod, device, to string) {
	t.Helper()
	argv := []string{"ping", "-c", "1", "-W", "3"}
	if device != "" {
		argv = append(argv, "-I", device)
	}
	ctx := within(t, 20*time.Second)
	must(t, drive.Until(ctx, time.Second, func(ctx context.Context) error {
		_, err := lab.PodExec(ctx, from.Namespace, from.Name, append(argv, to)...)
		return err
	}))
}

// warning waits for a Warning Event on a Pod that says all the words.
func warning(t *testing.T, namespace, pod string, limit time.Duration, words ...string) string {
	t.Helper()
	var last string
	err := drive.Until(within(t, limit), 100*time.Millisecond, func(ctx context.Context) error {
		var list struct {
			Items []struct{ Reason, Message string }
		}
		if err := lab.Get(ctx, &list, "events", "-n", namespace, "--field-selector", "involvedObject.name="+pod+",type=Warning"); err != nil {
			return err
		}
		for _, e := range list.Items {
			last = e.Reason + ": " + e.Message
			if e.Reason != "FailedCreatePodSandBox" && containsAll(last, words) {
				return nil
			}
		}
		return fmt.Errorf("no Warning Event of ours on Pod %s says %q; the last was %q", pod, words, last)
	})
	must(t, err)
	return last
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// footprint is what tsunagu has left on the nodes and in the API: what must be
// the same before and after Pods came and went.
func footprint(ctx context.Context) (map[string]int, error) {
	found := map[string]int{}
	for _, n := range nodes {
		links, err := lab.Exec(ctx, n, "ip", "-br", "link")
		if err != nil {
			return nil, err
		}
		for _, l := range strings.Split(links, "\n") {
			if strings.HasPrefix(l, "tsu") {
				found[n+" links"]++
			}
		}
		routes, err := lab.Exec(ctx, n, "sh", "-c", "ip route show table all; ip -6 route show table all; ip neigh; ip -6 neigh")
		if err != nil {
			return nil, err
		}
		for _, r := range strings.Split(routes, "\n") {
			// Neighbours that the kernel learned come and go by themselves.
			if strings.Contains(r, " dev tsu") && !strings.Contains(r, "lladdr") || strings.Contains(r, "PERMANENT") {
				found[n+" routes"]++
			}
		}
		files, err := lab.Exec(ctx, n, "sh", "-c", "find /run/tsunagu /var/lib/cni /run/netns -type f | wc -l")
		if err != nil {
			return nil, err
		}
		fmt.Sscan(files, new(int))
		var count int
		fmt.Sscan(files, &count)
		found[n+" files"] = count
	}
	var addresses struct{ Items []any }
	if err := lab.Get(ctx, &addresses, "ipaddresses.tsunagu.dev"); err != nil {
		return nil, err
	}
	found["IPAddress objects"] = len(addresses.Items)
	var pools struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ Used int }
		}
	}
	if err := lab.Get(ctx, &pools, "ippools.tsunagu.dev"); err != nil {
		return nil, err
	}
	for _, p := range pools.Items {
		found["used in "+p.Metadata.Name] = p.Status.Used
	}
	return found, nil
}

// settles waits until the footprint is what it was.
func settles(t *testing.T, before map[string]int) {
	t.Helper()
	must(t, drive.Until(within(t, time.Minute), time.Second, func(ctx context.Context) error {
		now, err := footprint(ctx)
		if err != nil {
			return err
		}
		var more []string
		for what, n := range now {
			if n > before[what] {
				more = append(more, fmt.Sprintf("%s: %d, was %d", what, n, before[what]))
			}
		}
		sort.Strings(more)
		if len(more) > 0 {
			return fmt.Errorf("left behind: %s", strings.Join(more, "; "))
		}
		return nil
	}))
}

// snapshot is footprint for a test.
func snapshot(t *testing.T) map[string]int {
	t.Helper()
	before, err := footprint(within(t, 20*time.Second))
	must(t, err)
	return before
}
