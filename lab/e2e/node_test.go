package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// A node that leaves, and one that joins under its name, with another identity
// and another address, are followed by all the others.
func TestNodeLeavesAndJoinsAgain(t *testing.T) {
	ns := room(t, "e2e-node")
	network(t, "e2e-node", ns, macvlan("up1", "192.168.82.0/28"))
	a := create(t, ns, "a", "node1", "e2e-node")

	_, err := lab.Tell(within(t, time.Minute), "add-node", "node4")
	must(t, err)
	joins(t, "node4")
	b := create(t, ns, "b", "node4", "e2e-node")
	for _, v6 := range []bool{false, true} {
		ping(t, a, "", address(t, b, "", v6))
		ping(t, b, "", address(t, a, "", v6))
	}
	ping(t, a, "net1", address(t, b, ns+"/e2e-node", false))

	_, err = lab.Tell(within(t, time.Minute), "remove-node", "node4")
	must(t, err)
	must(t, drive.Until(within(t, 20*time.Second), 500*time.Millisecond, func(ctx context.Context) error {
		return staleRoute(ctx, address(t, b, "", false))
	}))

	_, err = lab.Tell(within(t, time.Minute), "add-node", "node4", "--address", elsewhere(t, false), "--address", elsewhere(t, true))
	must(t, err)
	t.Cleanup(func() {
		if _, err := lab.Tell(context.Background(), "remove-node", "node4"); err != nil {
			t.Error(err)
		}
	})
	joins(t, "node4")
	c := create(t, ns, "c", "node4", "e2e-node")
	for _, v6 := range []bool{false, true} {
		ping(t, a, "", address(t, c, "", v6))
		ping(t, c, "", address(t, a, "", v6))
	}
	if address(t, c, ns+"/e2e-node", false) == address(t, a, ns+"/e2e-node", false) {
		t.Fatal("the new node gave out an address that is held")
	}
}

// elsewhere is an address beside node1's that no node has by the lab's plan.
func elsewhere(t *testing.T, v6 bool) string {
	t.Helper()
	for _, a := range internalIPs(t, "node1") {
		if a.Is6() == v6 {
			b := a.AsSlice()
			b[len(b)-1] = 0x99
			moved, _ := netip.AddrFromSlice(b)
			return moved.String()
		}
	}
	t.Fatal("node1 has no address of that family")
	return ""
}

// internalIPs are a Node's InternalIP addresses.
func internalIPs(t *testing.T, node string) []netip.Addr {
	t.Helper()
	var object struct {
		Status struct {
			Addresses []struct{ Type, Address string }
		}
	}
	must(t, lab.Get(within(t, 20*time.Second), &object, "node", node))
	var found []netip.Addr
	for _, a := range object.Status.Addresses {
		if a.Type == "InternalIP" {
			found = append(found, netip.MustParseAddr(a.Address))
		}
	}
	return found
}

// joins waits until a node is ready.
func joins(t *testing.T, node string) {
	t.Helper()
	_, err := lab.Kubectl(within(t, 2*time.Minute), "wait", "--for=condition=Ready", "node/"+node, "--timeout=110s")
	must(t, err)
}

// staleRoute is an error while node1 still leads a Pod's address into the tunnel.
func staleRoute(ctx context.Context, ip string) error {
	said, err := lab.Exec(ctx, "node1", "ip", "route", "get", ip)
	if err == nil && containsAll(said, []string{"tsu-vx"}) {
		return fmt.Errorf("node1 still has a route to the node that left: %s", said)
	}
	return nil
}
