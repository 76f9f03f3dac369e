package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/lab/cluster"
	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

func statusCommand(o *options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show machines, addresses and components of a lab",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			switch output {
			case "json":
				enc := json.NewEncoder(os.Stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(s)
			case "table":
				printStatus(s)
				return nil
			}
			return usageError{fmt.Errorf("output %q: want table or json", output)}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func printStatus(s cluster.Status) {
	fmt.Printf("lab %s  API %s  kube-proxy %s  CNI %s\n", s.Name, s.API, s.Proxy, s.CNI)
	fmt.Printf("kubeconfig %s\npods %v  services %v  outside as %s %v\n\n", s.Kubeconfig, s.PodCIDRs, s.ServiceCIDRs, s.OutsideName, s.Far)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "MACHINE\tROLE\tSTATE\tREADY\tETH0\tNAMESPACE\tNOT RUNNING")
	for _, m := range s.Machines {
		ready := "-"
		if m.Ready != nil {
			ready = fmt.Sprint(*m.Ready)
		}
		var addrs, idle []string
		for _, a := range m.Addresses[string(plan.Eth0)] {
			addrs = append(addrs, a.Addr().String())
		}
		for _, c := range m.Components {
			if c.State != supervise.Running {
				idle = append(idle, fmt.Sprintf("%s %s", c.Name, c.State))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Role, m.State, ready, strings.Join(addrs, ","), m.Namespace, strings.Join(idle, ", "))
	}
	w.Flush()
}

func listCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the labs of this machine",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			root, err := rootDir(o)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tNODES\tFILES")
			for _, n := range cluster.Names(root) {
				c, err := cluster.Open(o.dir, n, nil)
				if err != nil {
					fmt.Fprintf(w, "%s\t-\tbroken: %v\n", n, err)
					continue
				}
				fmt.Fprintf(w, "%s\t%d\t%s\n", n, len(c.Nodes()), c.Dir())
			}
			return w.Flush()
		},
	}
}
