package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/lab/cluster"
	"github.com/tsunagu-net/tsunagu/lab/plan"
)

// verb is something one does to a machine, or to one component of it.
type verb struct {
	name, machine, component string // what it does to each
	undo                     string // the verb that --for applies afterwards
}

var verbs = []verb{
	{"stop", "switches it off, as when the power goes", "ends it and keeps it down", "start"},
	{"start", "switches it on", "starts it", ""},
	{"kill", "switches it off, as when the power goes", "kill -9; it is started again as after any crash", ""},
	{"restart", "switches it off and on", "ends and starts it", ""},
	{"pause", "freezes all its programs", "freezes it", "resume"},
	{"resume", "lets them go on", "lets it go on", ""},
}

func verbCommand(o *options, v verb) *cobra.Command {
	var during time.Duration
	var now bool
	cmd := &cobra.Command{
		Use:   v.name + " <node|outside> [component]",
		Short: fmt.Sprintf("On a machine: %s. On a component: %s", v.machine, v.component),
		Args:  args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			name := v.name
			if now && len(a) == 2 {
				name = "halt"
			}
			if err := apply(cmd.Context(), c, name, a); err != nil || during == 0 {
				return err
			}
			// An interrupt ends the waiting, not the undoing.
			select {
			case <-cmd.Context().Done():
			case <-time.After(during):
			}
			return apply(context.WithoutCancel(cmd.Context()), c, v.undo, a)
		},
	}
	if v.undo != "" {
		cmd.Flags().DurationVar(&during, "for", 0, fmt.Sprintf("%s it again after this time", v.undo))
	}
	if v.name == "stop" {
		cmd.Flags().BoolVar(&now, "now", false, "kill the component instead of asking it; an API server takes up to 10 s to say goodbye")
	}
	return cmd
}

func apply(ctx context.Context, c *cluster.Cluster, verb string, target []string) error {
	if len(target) == 2 {
		return c.Component(ctx, target[0], target[1], verb)
	}
	machine := target[0]
	switch verb {
	case "start":
		return c.StartNode(ctx, machine)
	case "stop", "kill":
		return c.StopNode(machine)
	case "restart":
		if err := c.StopNode(machine); err != nil {
			return err
		}
		return c.StartNode(ctx, machine)
	case "pause":
		return c.PauseNode(machine, true)
	}
	return c.PauseNode(machine, false)
}

func addNodeCommand(o *options) *cobra.Command {
	var addresses []string
	cmd := &cobra.Command{
		Use:   "add-node [name]",
		Short: "Let a worker join",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			var ips []netip.Addr
			for _, s := range addresses {
				ip, err := netip.ParseAddr(s)
				if err != nil {
					return usageError{fmt.Errorf("address of the node: %w", err)}
				}
				ips = append(ips, ip)
			}
			c, err := o.open()
			if err != nil {
				return err
			}
			name := ""
			if len(a) == 1 {
				name = a[0]
			}
			n, err := c.AddNode(cmd.Context(), name, ips)
			if err != nil {
				return err
			}
			fmt.Println(n.Name)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&addresses, "address", nil, "address on eth0 instead of the plan's, one per IP family")
	return cmd
}

func removeNodeCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "remove-node name",
		Short: "Take a worker out of the cluster and delete all it had",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			return c.RemoveNode(cmd.Context(), a[0])
		},
	}
}

func plugCommand(o *options, in bool) *cobra.Command {
	use, short := "unplug", "Pull the plug of a machine's interface (default eth0)"
	if in {
		use, short = "plug", "Put the plug of a machine's interface back (default eth0)"
	}
	return &cobra.Command{
		Use:   use + " <node|outside> [eth0|up1|up2]",
		Short: short,
		Args:  args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			segment := string(plan.Eth0)
			if len(a) == 2 {
				segment = a[1]
			}
			return c.Plug(a[0], segment, in)
		},
	}
}
