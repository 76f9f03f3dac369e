package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A cluster without kube-proxy and without a Pod network, of which everything reaches the API by an address that needs neither: it comes
// up by itself, and loses whichever control plane has the address without kubectl noticing for long.
func TestControlPlaneAddress(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to make namespaces and mounts")
	}
	if testing.Short() {
		t.Skip("SKIP: -short, and this boots a cluster")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	name, err := Scratch("tlvip")
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	t.Cleanup(func() {
		if err := Down(files, name); err != nil {
			t.Error(err)
		}
		leftovers(t, name)
	})
	c, err := Up(ctx, Options{Name: name, Nodes: 4, ControlPlanes: 3, VIP: "auto", Dir: files, Source: filepath.Join(root, "lab"), Progress: NewProgress(os.Stderr)})
	if err != nil {
		t.Fatal(err)
	}
	address := c.state.Options.VIP
	owner := func() string {
		for _, n := range c.state.controlPlanes() {
			out, err := c.Exec(ctx, n.Name, "ip", "-br", "addr", "show", "tsunagu-vip")
			if err == nil && strings.Contains(string(out), address+"/") {
				return n.Name
			}
		}
		return ""
	}
	client, err := c.api()
	if err != nil {
		t.Fatal(err)
	}
	// Each control plane that has the address goes once; a majority is left each time.
	c.manifestsAreTaken(ctx, t, client)
	for range 2 {
		had := ""
		if err := await(ctx, time.Minute, func() error {
			if had = owner(); had == "" {
				return fmt.Errorf("nobody has %s", address)
			}
			return client.get(ctx, "/readyz?verbose", nil)
		}); err != nil {
			t.Fatal(err)
		}
		longest := client.during(ctx, func() {
			if err := c.StopNode(had); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second)
		})
		now := owner()
		t.Logf("%s was switched off, %s has the address: nothing answered there for %s, and no list of nodes succeeded for %s", had, now, longest.address, longest.nodes)
		// Both are back in half a second (docs/vip.md). What is over that is for a machine that is busy with four nodes.
		if now == "" || now == had || longest.address > 3*time.Second || longest.nodes > 8*time.Second {
			t.Errorf("%s was switched off: %q has the address; nothing answered for %s, no list of nodes succeeded for %s", had, now, longest.address, longest.nodes)
		}
		if err := c.StartNode(ctx, had); err != nil {
			t.Fatal(err)
		}
		if err := await(ctx, 2*time.Minute, func() error { return client.get(ctx, "/api/v1/nodes/node4", nil) }); err != nil {
			t.Fatal(err)
		}
	}
	c.coldStarts(ctx, t, client)
}
