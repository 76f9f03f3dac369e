package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tsunagu-net/tsunagu/near"
)

// app is what the commands share: where they speak to, which cluster, and in
// which form.
type app struct {
	terminal
	cluster cluster
	format  format
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, argv []string, t terminal) int {
	name := "tsunagu"
	if strings.HasPrefix(filepath.Base(argv[0]), "kubectl-") {
		name = "kubectl tsunagu"
	}
	root := newRoot(name, &app{terminal: t, format: "table"})
	root.SetArgs(argv[1:])
	root.SetOut(t.out)
	root.SetErr(t.err)
	return t.report(name, root.ExecuteContext(ctx))
}

func newRoot(name string, a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "tsunagu",
		Short: "connects Pods to any network, and shows how they are connected",
		Long: `tsunagu connects Kubernetes Pods to any network.

This command shows what it is doing in a cluster and what is wrong. It changes nothing, except for
address import, reserve and release, which do what they say.

Exit codes: 0 fine; 1 failed, or the doctor found an error; 2 the command line is not understood;
3 no cluster is configured or none answers; 4 the doctor found warnings only; 5 what was named does not exist;
6 done, and something is left for people.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return c.Help()
		},
	}
	a.cluster.flags(root.PersistentFlags())
	root.PersistentFlags().VarP(&a.format, "output", "o", "form of the answer")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	root.SetFlagErrorFunc(nearFlag)
	root.Version = version
	root.AddCommand(a.status(), a.network(), a.address(), a.vip(), a.doctor(), a.lab(), a.version())
	return root
}

// nearFlag adds to an unknown flag the names that it was perhaps meant to be.
func nearFlag(c *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	hint := c.CommandPath() + " --help lists them"
	if meant := near.Names(name, names); len(meant) > 0 {
		hint = "did you mean --" + strings.Join(meant, " or --") + "? " + hint
	}
	return usage(hint, "%v", err)
}

// group is a noun: a command that needs a verb.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(c.CommandPath()+" --help lists what it can do", "%s has no command %q", c.CommandPath(), args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(verbs...)
	return c
}
