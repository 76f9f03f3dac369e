package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// While the API server is away a node attaches Pods to addresses that it holds, and detaches others; what was deleted meanwhile is
// deleted at the API server when it is back. The kubelet can start nothing then, so the runtime's part is played by hand.
func TestNodeWithoutAPIServer(t *testing.T) {
	const node = "node2"
	ns := room(t, "e2e-alone")
	network(t, "e2e-alone", ns, macvlan("up1", "192.168.113.0/24"))
	before := snapshot(t)
	ctx := within(t, 4*time.Minute)

	// Pods of the node that its kubelet does not start.
	_, err := lab.Tell(ctx, "stop", node, "kubelet")
	must(t, err)
	t.Cleanup(func() {
		if _, err := lab.Tell(context.Background(), "start", node, "kubelet"); err != nil {
			t.Error(err)
		}
	})
	networks := map[string]string{"held": "e2e-alone", "static": `[{"name":"e2e-alone","ips":["192.168.113.200"]}]`, "one": "e2e-alone", "two": "e2e-alone"}
	for name, on := range networks {
		must(t, lab.Apply(ctx, pod(ns, name, node, on)))
	}
	box := map[string]handmade{}
	for name := range networks {
		box[name] = newHandmade(t, node, ns, name)
	}
	held, static := box["held"].add(ctx, t), box["static"].add(ctx, t)
	if static != netip.MustParseAddr("192.168.113.200") {
		t.Fatalf("asked for 192.168.113.200, have %s", static)
	}
	if !bound(ctx, t, static) {
		t.Fatalf("there is no IPAddress of %s", static)
	}

	_, err = lab.Tell(ctx, "stop", "node1", "kube-apiserver", "--now")
	must(t, err)
	back := func() {
		if _, err := lab.Tell(context.Background(), "start", "node1", "kube-apiserver"); err != nil {
			t.Error(err)
		}
	}
	running := false
	defer func() {
		if !running {
			back()
		}
	}()
	seen := map[netip.Addr]string{held: "held", static: "static"}
	for _, name := range []string{"one", "two"} {
		began := time.Now()
		a := box[name].add(ctx, t)
		if other := seen[a]; other != "" {
			t.Errorf("%s was given to %s and to %s", a, other, name)
		}
		seen[a] = name
		t.Logf("without API server: ADD of %s with %s after %s", name, a, time.Since(began).Round(time.Millisecond))
	}
	for _, name := range []string{"held", "static", "one"} {
		began := time.Now()
		box[name].del(ctx, t)
		t.Logf("without API server: DEL of %s after %s", name, time.Since(began).Round(time.Millisecond))
	}
	back()
	running = true

	must(t, drive.Until(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		var list struct {
			Items []struct{ Spec struct{ Address string } }
		}
		if err := lab.Get(ctx, &list, "ipaddresses.tsunagu.dev"); err != nil {
			return err
		}
		for _, o := range list.Items {
			if o.Spec.Address == static.String() {
				return fmt.Errorf("the IPAddress of %s, deleted while the API server was away, is still there", static)
			}
		}
		var pool struct{ Status struct{ Used int } } // called after the Network and the subnet
		if err := lab.Get(ctx, &pool, "ippool.tsunagu.dev", "e2e-alone-192-168-113-0-24"); err != nil {
			return err
		}
		if pool.Status.Used != 1 {
			return fmt.Errorf("the pool counts %d addresses in use, want 1", pool.Status.Used)
		}
		pods, err := lab.Pods(ctx, ns, "name=two")
		if err != nil {
			return err
		}
		if on, ok := pods[0].On(ns + "/e2e-alone"); !ok || seen[on.IPs[0]] != "two" {
			return fmt.Errorf("the network-status of a Pod that was attached meanwhile is %+v", pods[0].Interfaces)
		}
		return nil
	}))
	box["two"].del(ctx, t)
	_, err = lab.Kubectl(ctx, "delete", "pod", "-n", ns, "--all", "--force", "--grace-period=0")
	must(t, err)
	for _, h := range box {
		must(t, h.remove())
	}
	settles(t, before)
}

// bound tells whether an IPAddress of that address exists.
func bound(ctx context.Context, t *testing.T, a netip.Addr) bool {
	t.Helper()
	out, err := lab.Kubectl(ctx, "get", "ipaddresses.tsunagu.dev", "-o", "jsonpath={.items[*].spec.address}")
	must(t, err)
	for _, word := range strings.Fields(out) {
		if word == a.String() {
			return true
		}
	}
	return false
}

// handmade is a sandbox that the test makes on a node, as a container runtime does it.
type handmade struct{ node, namespace, pod, id string }

func newHandmade(t *testing.T, node, namespace, pod string) handmade {
	t.Helper()
	h := handmade{node, namespace, pod, fmt.Sprintf("tst-%s-%x", pod, time.Now().UnixNano())}
	_, err := lab.Exec(within(t, 20*time.Second), node, "sh", "-c", "touch "+h.path()+" && unshare --net="+h.path()+" true && nsenter --net="+h.path()+" ip link set lo up")
	must(t, err)
	t.Cleanup(func() {
		if err := h.remove(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// remove takes the sandbox away; one that is gone is fine.
func (h handmade) remove() error {
	_, err := lab.Exec(context.Background(), h.node, "sh", "-c", "test ! -e "+h.path()+" || { umount "+h.path()+" && rm "+h.path()+"; }")
	return err
}

func (h handmade) path() string { return "/run/netns/" + h.id }

func (h handmade) call(ctx context.Context, verb string) (string, error) {
	const conf = `{"cniVersion":"1.0.0","name":"tsunagu","type":"tsunagu-cni","socket":"/run/tsunagu/cni.sock"}`
	return lab.Exec(ctx, h.node, "sh", "-c", fmt.Sprintf("echo '%s' | CNI_COMMAND=%s CNI_CONTAINERID=%s CNI_NETNS=%s CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin "+
		"CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s' /opt/cni/bin/tsunagu-cni", conf, verb, h.id, h.path(), h.namespace, h.pod))
}

// add attaches, and gives the address that the interface net1 has.
func (h handmade) add(ctx context.Context, t *testing.T) netip.Addr {
	t.Helper()
	_, err := h.call(ctx, "ADD")
	must(t, err)
	out, err := lab.Exec(ctx, h.node, "nsenter", "--net="+h.path(), "ip", "-j", "-4", "addr", "show", "dev", "net1")
	must(t, err)
	var links []struct {
		Addrs []struct {
			Local netip.Addr `json:"local"`
		} `json:"addr_info"`
	}
	must(t, json.Unmarshal([]byte(out), &links))
	if len(links) != 1 || len(links[0].Addrs) != 1 {
		t.Fatalf("net1 of Pod %s has %s", h.pod, out)
	}
	return links[0].Addrs[0].Local
}

func (h handmade) del(ctx context.Context, t *testing.T) {
	t.Helper()
	_, err := h.call(ctx, "DEL")
	must(t, err)
	if out, err := lab.Exec(ctx, h.node, "nsenter", "--net="+h.path(), "ip", "-br", "link"); err != nil || strings.Contains(out, "net1") {
		t.Errorf("after the DEL of Pod %s: %v\n%s", h.pod, err, out)
	}
}
