package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func execCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "exec <node|outside> -- command…",
		Short:   "Run a command in a machine's namespaces",
		Example: "  tsunagu-lab exec node2 -- ip route\n  tsunagu-lab exec outside -- ping -c1 172.30.0.11",
		Args:    args(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			if a[1] == "--" {
				a = append(a[:1], a[2:]...)
			}
			return c.Become(a[0], a[1:])
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func kubectlCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubectl -- arguments…",
		Short: "Run the lab's kubectl as its administrator",
		RunE: func(_ *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			path := filepath.Join(c.Bin(), "kubectl")
			env := append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
			return fmt.Errorf("running %s: %w", path, unix.Exec(path, append([]string{"kubectl"}, a...), env))
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func logsCommand(o *options) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs <node|outside> <component>",
		Short:   "Show what a component wrote",
		Example: "  tsunagu-lab logs node1 kube-apiserver -f",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			f, err := os.Open(c.LogFile(a[0], a[1]))
			if err != nil {
				return fmt.Errorf("reading the log of %s on %s: %w", a[1], a[0], err)
			}
			defer f.Close()
			return show(cmd.Context(), f, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	return cmd
}

func show(ctx context.Context, f *os.File, follow bool) error {
	for {
		if _, err := io.Copy(os.Stdout, f); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func loadImageCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "load-image archive…",
		Short: "Load archives of images into every node",
		Args:  args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := o.open()
			if err != nil {
				return err
			}
			return c.LoadImages(cmd.Context(), a)
		},
	}
}
