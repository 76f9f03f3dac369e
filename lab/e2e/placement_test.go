package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// uplink gives a node an interface of that name, with an end of its own.
func uplink(t *testing.T, node, name string) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	_, err := lab.Exec(ctx, node, "ip", "link", "add", name, "up", "type", "veth", "peer", "name", name+"x")
	must(t, err)
	t.Cleanup(func() { lab.Exec(context.Background(), node, "ip", "link", "del", name) })
	_, err = lab.Exec(ctx, node, "ip", "link", "set", name+"x", "up")
	must(t, err)
}

// onNodes waits until the nodes with a network's label are these.
func onNodes(t *testing.T, network string, limit time.Duration, want ...string) {
	t.Helper()
	must(t, drive.Until(within(t, limit), 200*time.Millisecond, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "nodes", "-l", "tsunagu.node-restriction.kubernetes.io/"+network+"=ready", "-o", "jsonpath={.items[*].metadata.name}")
		if err == nil && out != strings.Join(want, " ") {
			err = fmt.Errorf("network %s is said to be on %q, want %q", network, out, want)
		}
		return err
	}))
}

// A Pod goes to a node that has its network, waits while none has, and is told what it waits for. Labels follow what is there: a cable that is
// pulled, a label that a person removes, an interface that comes.
func TestPodsGoWhereTheirNetworkIs(t *testing.T) {
	ns := room(t, "e2e-place")
	uplink(t, "node2", "plc0")
	network(t, "e2e-place", ns, macvlan("plc0", "192.168.94.0/24"))
	onNodes(t, "e2e-place", 10*time.Second, "node2")
	must(t, drive.Until(within(t, time.Minute), 500*time.Millisecond, func(ctx context.Context) error {
		_, err := lab.Kubectl(ctx, "get", "mutatingwebhookconfigurations", "tsunagu")
		return err
	}))
	for _, name := range []string{"a", "b", "c"} {
		if p := create(t, ns, name, "", "e2e-place"); p.Node != "node2" {
			t.Errorf("Pod %s is on %s", name, p.Node)
		}
	}
	network(t, "e2e-absent", ns, macvlan("plc9", "192.168.95.0/24"))
	said, err := lab.Told(within(t, 20*time.Second), pod(ns, "waits", "", "e2e-absent"), "apply", "-f", "-")
	must(t, err)
	if !strings.Contains(said, "no node has network e2e-absent") {
		t.Errorf("who creates it is not told: %s", said)
	}
	t.Log(warning(t, ns, "waits", 15*time.Second, "no node has network e2e-absent", "node2: the node has no interface plc9"))
	uplink(t, "node3", "plc9")
	pods, err := lab.Ready(within(t, 30*time.Second), ns, "name=waits", 1)
	must(t, err)
	if pods[0].Node != "node3" {
		t.Errorf("it is on %s", pods[0].Node)
	}
	_, err = lab.Exec(within(t, 10*time.Second), "node2", "ip", "link", "set", "plc0x", "down")
	must(t, err)
	onNodes(t, "e2e-place", 10*time.Second)
	_, err = lab.Exec(within(t, 10*time.Second), "node2", "ip", "link", "set", "plc0x", "up")
	must(t, err)
	onNodes(t, "e2e-place", 10*time.Second, "node2")
	_, err = lab.Kubectl(within(t, 10*time.Second), "label", "node", "node2", "tsunagu.node-restriction.kubernetes.io/e2e-place-", "--overwrite")
	must(t, err)
	onNodes(t, "e2e-place", 10*time.Second, "node2")
}
