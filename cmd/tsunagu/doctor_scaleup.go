package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/cmd/machines"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// scaleUpFlags say where the objects come from.
type scaleUpFlags struct {
	pod        string
	files      []string
	management string
	version    string
}

func (a *app) scaleUp() *cobra.Command {
	var f scaleUpFlags
	c := &cobra.Command{
		Use:   "scale-up --pod [NAMESPACE/]POD",
		Short: "why the cluster autoscaler adds a node for a Pod, or does not",
		Long: `scale-up says for every MachineDeployment, MachineSet and MachinePool of Cluster API whether Cluster Autoscaler has it in its list, which
rule dropped it (most are broken without a line in its log), what Node it would imagine, and which of the scheduler's filters keeps the Pod off.

It reads the cluster, or with --file what kubectl wrote, of several files or directories:

  kubectl get -A -o yaml pods,nodes,deployments,machinedeployments,machines,vspheremachinetemplates

The Machines may be in another cluster than the Pod: --management-kubeconfig.

Exit code: 0 a node would be added; 1 none would.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.pod == "" {
				return usage("tsunagu doctor scale-up --pod default/web", "--pod is missing")
			}
			world, pods, err := a.scaleWorld(c.Context(), f)
			if err != nil {
				return err
			}
			pod, err := findPod(judged(pods), f.pod, a.cluster.home())
			if err != nil {
				return err
			}
			v := scaleup.Explain(world, pod)
			if err := a.show(a.format, v, func(w io.Writer) { a.printScaleUp(w, v) }); err != nil {
				return err
			}
			if len(v.Scales) == 0 {
				return verdict(exitFailed)
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.pod, "pod", "", "the Pod that waits")
	c.Flags().StringSliceVar(&f.files, "file", nil, "read this dump or directory of dumps instead of the cluster; may be given again")
	c.Flags().StringVar(&f.management, "management-kubeconfig", "", "kubeconfig of the cluster that has the Machines, when it is another")
	c.Flags().StringVar(&f.version, "autoscaler-version", "", "version of Cluster Autoscaler (default: of the Deployment that runs it)")
	return c
}

// scaleWorld reads all that a verdict is made of.
func (a *app) scaleWorld(ctx context.Context, f scaleUpFlags) (*scaleup.Cluster, *snapshot.Snapshot, error) {
	here, there, ask, err := a.machineObjects(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	world, err := machines.World(here, there)
	if err != nil {
		return nil, nil, &problem{exitFailed, err, ""}
	}
	if _, _, ok := machines.Autoscaler(there); ok {
		denied, unknown := machines.Lacking(world, there, ask)
		if world.Autoscaler.Denied = denied; unknown != nil {
			a.terminal.mentionFiles([]snapshot.Passed{{File: "rights of the autoscaler", Why: unknown.Error()}})
		}
	}
	if f.version != "" {
		if world.Autoscaler.Version, err = scaleup.ParseVersion(f.version); err != nil {
			return nil, nil, usage("such as --autoscaler-version 1.32.1", "%v", err)
		}
		world.Autoscaler.Assumed = false
	}
	if len(world.Groups) == 0 {
		why := there.Unread[snapshot.MachineDeployments]
		if why == "" {
			why = "there is none"
		}
		return nil, nil, notFound("when the Machines are in another cluster: --management-kubeconfig", "no MachineDeployment could be read: %s", why)
	}
	return world, here, nil
}

// machineObjects are the objects of the cluster that has the Pods, and of the one that has the Machines, and who knows rights there.
func (a *app) machineObjects(ctx context.Context, f scaleUpFlags) (here, there *snapshot.Snapshot, ask machines.Rights, err error) {
	if len(f.files) > 0 {
		here, err = readDumps(f.files)
		return here, here, nil, err
	}
	reader, err := a.cluster.reader()
	if err != nil {
		return nil, nil, nil, err
	}
	var passed []snapshot.Passed
	defer func() { a.terminal.mentionFiles(passed) }()
	p := a.terminal.watch("asking the API server")
	defer p.end()
	progress := func(resource string, n int) { p.now(fmt.Sprintf("reading %s, %d so far", resource, n)) }
	if here, err = reader.Snapshot(ctx, progress, "pods", "nodes", "deployments"); err != nil {
		return nil, nil, nil, err
	}
	if f.management != "" {
		if reader, err = a.managing(f.management); err != nil {
			return nil, nil, nil, err
		}
	}
	if there, err = reader.Snapshot(ctx, progress, "deployments", snapshot.MachineDeployments, snapshot.MachineSets, snapshot.MachinePools, snapshot.Machines); err != nil {
		return nil, nil, nil, err
	}
	passed = machines.Templates(ctx, reader, there)
	return here, there, machines.Asks(ctx, reader), nil
}

// managing reads from the cluster that has the Machines.
func (a *app) managing(kubeconfig string) (*snapshot.Reader, error) {
	other := a.cluster
	other.kubeconfig, other.context = kubeconfig, ""
	return other.reader()
}

// readDumps reads files, and all files of directories, as one dump.
func readDumps(paths []string) (*snapshot.Snapshot, error) {
	var all []byte
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if file != path && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
				return nil
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if _, err := snapshot.FromDump(raw); err != nil {
				return &problem{exitFailed, fmt.Errorf("read %s: %w", file, err), "it is to be what kubectl get -A -o yaml (or json) wrote"}
			}
			all = append(append(all, raw...), "\n---\n"...)
			return nil
		})
		if os.IsNotExist(err) {
			err = &problem{exitNotFound, fmt.Errorf("read the dump: %w", err), ""}
		}
		if err != nil {
			return nil, err
		}
	}
	return snapshot.FromDump(all)
}

func (a *app) printScaleUp(w io.Writer, v scaleup.Verdict) {
	version := v.Autoscaler
	if v.Assumed {
		version += " (assumed: none was found; --autoscaler-version says which)"
	}
	switch len(v.Scales) {
	case 0:
		fmt.Fprintf(w, "Cluster Autoscaler %s adds no node for Pod %s\n", version, a.bold(v.Pod))
	default:
		fmt.Fprintf(w, "Cluster Autoscaler %s adds a node for Pod %s, of %s\n", version, a.bold(v.Pod), strings.Join(v.Scales, " or "))
	}
	fmt.Fprintf(w, "it considers %d of %s\n\n", v.Considered, count(len(v.Groups), "group"))
	a.printProblems(w, v.Problems)
	for _, g := range v.Groups {
		state := "fits"
		switch {
		case !g.Seen:
			state = "is not seen by the autoscaler"
		case !g.Fits:
			state = "does not fit"
		}
		fmt.Fprintf(w, "%s (%d of %d to %d): %s\n", a.bold(g.Group), g.Replicas, g.Min, g.Max, state)
		if g.Node != nil {
			from := string(g.Node.Source)
			if g.Node.Of != "" {
				from += " " + g.Node.Of
			}
			fmt.Fprint(w, wrap("  a new node, by "+from+": ", fmt.Sprintf("%s CPUs, %s memory, %s",
				g.Node.Capacity.Cpu(), g.Node.Capacity.Memory(), strings.Join(pairs(g.Node.Labels), ", ")), a.textWidth()))
		}
		a.printProblems(w, g.Problems)
		fmt.Fprintln(w)
	}
}

func pairs(m map[string]string) (all []string) {
	for _, key := range sortedKeys(m) {
		all = append(all, key+"="+m[key])
	}
	return all
}

func (a *app) printProblems(w io.Writer, problems []scaleup.Problem) {
	for _, p := range problems {
		colour := "31"
		if p.Effect == scaleup.Ignored || p.Effect == scaleup.Misleads || p.Effect == scaleup.MayDrop {
			colour = "33"
		}
		fmt.Fprintf(w, "  %s  %s\n", a.paint(colour, string(p.Effect)), p.Code)
		where := p.Field
		if p.Value != "" {
			where += fmt.Sprintf("=%q", p.Value)
		}
		fmt.Fprint(w, wrap("    cause  ", where+": "+p.Why, a.textWidth()))
		fmt.Fprint(w, wrap("    fix    ", p.Fix, a.textWidth()))
	}
}
