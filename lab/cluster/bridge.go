package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// The bridge CNI is the plainest Pod network there is: the reference plugins
// of the distribution on each node, a static route to every other node's range,
// and masquerading towards everything else.

// bridgePlugins are what it takes.
var bridgePlugins = []string{"ptp", "host-local", "portmap", "loopback"}

func (c *Cluster) installBridge(ctx context.Context, nodes []Node) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		cidrs, err := podCIDRs(ctx, client, n.Name)
		if err != nil {
			return err
		}
		m, err := c.machine(n.Name)
		if err != nil {
			return err
		}
		root, err := m.Root()
		if err != nil {
			return err
		}
		for _, p := range bridgePlugins {
			if err := copyFile(filepath.Join(referencePlugins, p), filepath.Join(root, "opt/cni/bin", p)); err != nil {
				return fmt.Errorf("installing CNI plugin %s in %s: %w", p, n.Name, err)
			}
		}
		conf, err := json.MarshalIndent(bridgeConf(cidrs), "", "  ")
		if err != nil {
			return err
		}
		// Written under another name first: containerd must not read half a file.
		at := filepath.Join(root, "etc/cni/net.d/10-lab.conflist")
		if err := os.WriteFile(at+".new", conf, 0o644); err != nil {
			return err
		}
		if err := os.Rename(at+".new", at); err != nil {
			return err
		}
	}
	return c.bridgeRoutes(ctx, nodes)
}

// podCIDRs waits for the controller manager to give the node its ranges.
func podCIDRs(ctx context.Context, client *api, node string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	err := await(ctx, 30*time.Second, func() error {
		n, err := client.node(ctx, node)
		if err != nil {
			return err
		}
		if len(n.Spec.PodCIDRs) == 0 {
			return fmt.Errorf("node %s has no Pod range yet", node)
		}
		out = nil
		for _, s := range n.Spec.PodCIDRs {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				return fmt.Errorf("Pod range of %s: %w", node, err)
			}
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

func bridgeConf(cidrs []netip.Prefix) map[string]any {
	var ranges [][]map[string]string
	var routes []map[string]string
	for _, c := range cidrs {
		ranges = append(ranges, []map[string]string{{"subnet": c.String()}})
		all := "0.0.0.0/0"
		if c.Addr().Is6() {
			all = "::/0"
		}
		routes = append(routes, map[string]string{"dst": all})
	}
	return map[string]any{
		"cniVersion": "0.4.0", "name": "lab",
		"plugins": []any{
			map[string]any{"type": "ptp", "ipMasq": false,
				"ipam": map[string]any{"type": "host-local", "ranges": ranges, "routes": routes}},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}, "snat": true},
		},
	}
}

// bridgeRoutes sets, in every running node, the routes to all others, and the
// masquerading of those that were just started.
func (c *Cluster) bridgeRoutes(ctx context.Context, fresh []Node) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	ranges := map[string][]netip.Prefix{}
	for _, n := range c.state.Nodes {
		if ranges[n.Name], err = podCIDRs(ctx, client, n.Name); err != nil {
			return err
		}
	}
	for _, from := range c.state.Nodes {
		if !wiring.Exists(c.Namespace(from.Name)) {
			continue
		}
		for _, to := range c.state.Nodes {
			if to.Name == from.Name {
				continue
			}
			for i, r := range ranges[to.Name] {
				if err := wiring.Route(c.Namespace(from.Name), r, to.Addresses[i].Addr()); err != nil {
					return err
				}
			}
		}
	}
	for _, n := range fresh {
		if err := c.masquerade(ctx, n, ranges[n.Name]); err != nil {
			return err
		}
	}
	return nil
}

// masquerade hides Pods behind their node for all but other Pods: nobody else
// on the node segment has a route to a Pod.
func (c *Cluster) masquerade(ctx context.Context, n Node, own []netip.Prefix) error {
	script := "add table inet lab-bridge\ndelete table inet lab-bridge\ntable inet lab-bridge {\n chain postrouting {\n  type nat hook postrouting priority srcnat;\n"
	for i, r := range own {
		family := "ip"
		if r.Addr().Is6() {
			family = "ip6"
		}
		script += fmt.Sprintf("  %[1]s saddr %[2]s %[1]s daddr != %[3]s masquerade\n", family, r, c.plan.PodCIDRs()[i])
	}
	script += " }\n}\n"
	return c.script(ctx, n.Name, script, "nft", "-f", "-")
}
