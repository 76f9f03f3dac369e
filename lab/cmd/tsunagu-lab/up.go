package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/lab/cluster"
	"github.com/tsunagu-net/tsunagu/lab/plan"
)

func upCommand(o *options) *cobra.Command {
	var want cluster.Options
	var proxy, family, cni string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a lab, or start what is off in one that exists",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if want.Nodes < 1 || want.ControlPlanes < 1 {
				return usageError{errors.New("a lab has at least one node and one control plane")}
			}
			want.Name, want.Dir, want.Progress = o.name, o.dir, o.progress()
			if want.VIP != "" && !cmd.Flags().Changed("kube-proxy") {
				proxy = "" // none, and nothing is needed
			}
			want.Proxy, want.CNI, want.Family = cluster.Proxy(proxy), cluster.CNI(cni), plan.Family(family)
			c, err := cluster.Up(cmd.Context(), want)
			if err != nil {
				if c != nil && cluster.Exists(o.name) && !o.quiet {
					fmt.Fprintf(os.Stderr, "what was started is left for you to look at; remove it with: %s down --name %s\n", cmd.Root().Name(), o.name)
				}
				return err
			}
			fmt.Println("export KUBECONFIG=" + c.Kubeconfig())
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&want.Nodes, "nodes", 3, "number of nodes")
	f.IntVar(&want.ControlPlanes, "control-planes", 1, "how many of the nodes carry the control plane, with an etcd member each")
	f.StringVar(&proxy, "kube-proxy", "nftables", "who implements Services: nftables (kube-proxy) or none")
	f.StringVar(&family, "ip-family", "dual", "dual, ipv4 or ipv6")
	f.StringVar(&cni, "cni", "none", "none (nodes stay NotReady until a CNI is installed) or bridge (reference plugins and static routes)")
	f.StringArrayVar(&want.Images, "image", nil, "archive of images to load into every node (repeatable)")
	f.StringVar(&want.Endpoint, "control-plane-endpoint", "", "host:port by which nodes reach the API servers, to try a virtual address")
	f.StringVar(&want.VIP, "vip", "", "address for the control plane, kept by tsunagu-vip on one of its nodes, without kube-proxy unless that is asked for; auto chooses one")
	f.StringVar(&want.Source, "source", "", "source of the lab, to build from (default: lab/ in the directory that holds .lab)")
	return cmd
}

func buildCommand(o *options) *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build what a lab runs into the cache, and nothing else",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.Build(cmd.Context(), cluster.Options{Name: o.name, Dir: o.dir, Source: source, Progress: o.progress()})
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "source of the lab (default: lab/ in the directory that holds .lab)")
	return cmd
}

func downCommand(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove a lab and everything it made, also after a crash",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			names := []string{o.name}
			if all {
				root, err := rootDir(o)
				if err != nil {
					return err
				}
				names = cluster.Names(root)
			}
			say := o.progress()
			for _, n := range names {
				if err := cluster.Down(o.dir, n); err != nil {
					return err
				}
				say.Say("lab %s is removed", n)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every lab of this machine")
	return cmd
}

func rootDir(o *options) (string, error) {
	if o.dir != "" {
		return o.dir, nil
	}
	return cluster.Root(".")
}
