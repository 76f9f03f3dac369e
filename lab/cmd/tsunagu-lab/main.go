// Command tsunagu-lab makes real Kubernetes clusters of several nodes on one
// machine, without Docker, registry or virtual machines. `tsunagu lab` runs it.
//
// What it prints: results on standard output, progress on standard error.
// Exit codes: 0 done; 1 it did not work; 2 wrong usage; 3 there is no such lab;
// `exec` and `kubectl` give the code of the command they ran.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cluster"
)

const (
	exitFailure = 1
	exitUsage   = 2
	exitNoLab   = 3
)

func main() {
	cluster.MainIfChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		os.Exit(exitUsage)
	case errors.Is(err, cluster.ErrNoLab):
		os.Exit(exitNoLab)
	}
	os.Exit(exitFailure)
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

// options are the flags that several commands share.
type options struct {
	name, dir string
	quiet     bool
}

func (o *options) progress() *cluster.Progress {
	if o.quiet {
		return nil
	}
	return cluster.NewProgress(os.Stderr)
}

func (o *options) open() (*cluster.Cluster, error) { return cluster.Open(o.dir, o.name, o.progress()) }

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "tsunagu-lab",
		Short: "Real Kubernetes clusters of several nodes on one machine",
		Long: `Makes real Kubernetes clusters of several nodes on one machine: each node is a
set of namespaces with a containerd and a kubelet of its own. Needs root.

Exit codes: 0 done; 1 it did not work; 2 wrong usage; 3 there is no such lab;
exec and kubectl give the code of the command they ran.`,
		Example: `  tsunagu-lab up
  export KUBECONFIG=$PWD/.lab/lab/kubeconfig PATH=$PWD/.lab/bin:$PATH
  kubectl get nodes
  tsunagu-lab exec node1 -- ip address
  tsunagu-lab stop node1 kube-apiserver --for 20s
  tsunagu-lab down`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, a []string) error {
			if len(a) == 0 {
				return nil
			}
			hint := ""
			if near := cmd.SuggestionsFor(a[0]); len(near) > 0 {
				hint = "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return usageError{fmt.Errorf("unknown command %q%s", a[0], hint)}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&o.name, "name", "lab", "name of the lab")
	root.PersistentFlags().StringVar(&o.dir, "dir", "", "directory that holds .lab (default: the nearest parent that has one or is tsunagu's repository, else here)")
	root.PersistentFlags().BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		upCommand(&o), buildCommand(&o), downCommand(&o), statusCommand(&o), listCommand(&o),
		execCommand(&o), kubectlCommand(&o), logsCommand(&o), loadImageCommand(&o),
		addNodeCommand(&o), removeNodeCommand(&o), plugCommand(&o, true), plugCommand(&o, false),
	)
	for _, v := range verbs {
		root.AddCommand(verbCommand(&o, v))
	}
	return root
}

// args checks the number of arguments and calls a wrong one wrong usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}
