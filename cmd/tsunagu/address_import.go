package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/legacy"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// importView is what `address import -o json` prints.
type importView struct {
	DryRun   bool             `json:"dryRun"`
	Steps    []importStep     `json:"addresses"`
	Problems []legacy.Problem `json:"problems"`
	// Counts are addresses by what became of them.
	Counts map[legacy.Verb]int `json:"counts"`
}

// importStep is one address and what became of it.
type importStep struct {
	legacy.Step
	// IPAddress is the object's name, where there is one.
	IPAddress string `json:"ipAddress,omitempty"`
	// Error says why it could not be done.
	Error string `json:"error,omitempty"`
}

// importFlags are the flags of the command.
type importFlags struct {
	from   string
	file   string
	dirs   []string
	names  []string
	dryRun bool
}

func (a *app) addressImport() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import",
		Short: "takes over the addresses that whereabouts or host-local gave out",
		Long: `import reads which addresses whereabouts (its IPPools, reservations and node slices) or host-local (its files) gave out, holds them
against the Pods that live, and binds each of a live Pod by an IPAddress, so that no Pod of tsunagu gets it. Records without a live
Pod are listed and not kept. It may be repeated.

  --from whereabouts   reads the cluster; with --file what kubectl wrote of one:
                       kubectl get -A -o yaml ippools.whereabouts.cni.cncf.io,overlappingrangeipreservations,nodeslicepools,net-attach-def,pods,nodes
  --from host-local    reads --dir NODE=FOLDER, a copy of the node's /var/lib/cni/networks, once per node

Pods, nodes and definitions are those of the cluster; with --file and --dry-run those of the file, if it has them.

Exit code: 0 done; 6 done, and there are addresses that two have, or that could not be taken over.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.importAddresses(c.Context(), f) },
	}
	c.Flags().StringVar(&f.from, "from", legacy.FromWhereabouts, "whose addresses: whereabouts or host-local")
	c.Flags().StringVar(&f.file, "file", "", "read the plugin's objects from this file (- is standard input) instead of the cluster")
	c.Flags().StringArrayVar(&f.dirs, "dir", nil, "NODE=FOLDER: a copy of host-local's folder on that node; may be given for each node")
	c.Flags().StringArrayVar(&f.names, "network-name", nil, "POOL=NAME: the network_name of a whereabouts IPPool whose name does not tell; NAME may be empty")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	_ = c.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{legacy.FromWhereabouts, legacy.FromHostLocal}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) importAddresses(ctx context.Context, f importFlags) error {
	names, err := f.check()
	if err != nil {
		return err
	}
	world, err := a.importWorld(ctx, f)
	if err != nil {
		return err
	}
	found, err := f.read(world, names)
	if err != nil {
		return err
	}
	view := importView{DryRun: f.dryRun, Steps: []importStep{}, Problems: found.Problems, Counts: map[legacy.Verb]int{}}
	if view.Problems == nil {
		view.Problems = []legacy.Problem{}
	}
	for _, s := range legacy.Make(found.Records, worldOf(world)) {
		view.Steps = append(view.Steps, importStep{Step: s})
	}
	if !f.dryRun {
		if err := a.bindAll(ctx, view.Steps); err != nil {
			return err
		}
	}
	for _, s := range view.Steps {
		view.Counts[s.Verb]++
	}
	if err := a.show(a.format, view, func(w io.Writer) { view.print(w, a.terminal) }); err != nil {
		return err
	}
	if view.unsettled() {
		return verdict(exitUnsettled)
	}
	return nil
}

// check reads the flags.
func (f importFlags) check() (names map[string]string, err error) {
	names = map[string]string{}
	for _, text := range f.names {
		pool, name, ok := strings.Cut(text, "=")
		if !ok || pool == "" {
			return nil, usage("such as --network-name kube-system/blue-10.0.0.0-24=blue", "--network-name %q is not POOL=NAME", text)
		}
		names[pool] = name
	}
	switch {
	case f.from != legacy.FromWhereabouts && f.from != legacy.FromHostLocal:
		return nil, usage("--from whereabouts or --from host-local", "--from %q is not a plugin whose addresses can be imported", f.from)
	case f.from == legacy.FromHostLocal && len(f.dirs) == 0:
		return nil, usage("copy each node's folder: kubectl debug node/NODE …, scp, or tar; then --dir NODE=FOLDER", "--from host-local needs --dir NODE=FOLDER")
	case f.from == legacy.FromWhereabouts && len(f.dirs) > 0:
		return nil, usage("--from host-local reads folders", "--dir is for host-local")
	}
	for _, text := range f.dirs {
		if node, folder, ok := strings.Cut(text, "="); !ok || node == "" || folder == "" {
			return nil, usage("such as --dir worker-1=./worker-1/networks", "--dir %q is not NODE=FOLDER", text)
		}
	}
	return names, nil
}

// importParts are what an import looks at besides the plugin's own records.
var importParts = []string{"nodes", "pods", "network-attachment-definitions", "ipblocks", "ipaddresses"}

var whereaboutsParts = []string{snapshot.WhereaboutsPools, snapshot.WhereaboutsReservations, snapshot.WhereaboutsSlices}

// importWorld reads cluster and file. A dry run over a file that has Pods needs
// no cluster.
func (a *app) importWorld(ctx context.Context, f importFlags) (*snapshot.Snapshot, error) {
	parts := importParts
	var dump *snapshot.Snapshot
	if f.file != "" {
		var err error
		if dump, err = readDump(f.file); err != nil {
			return nil, err
		}
		if _, missing := dump.Unread["pods"]; f.dryRun && !missing {
			return dump, nil
		}
	} else if f.from == legacy.FromWhereabouts {
		parts = slices.Concat(importParts, whereaboutsParts)
	}
	reader, err := a.cluster.reader()
	if err != nil {
		return nil, err
	}
	p := a.watch("asking the API server")
	defer p.end()
	s, err := reader.Snapshot(ctx, func(resource string, n int) { p.now(fmt.Sprintf("reading %s, %d so far", resource, n)) }, parts...)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{"pods", "nodes", "ipblocks", "ipaddresses"} {
		if why, ok := s.Unread[part]; ok {
			return nil, &problem{exitFailed, fmt.Errorf("read %s: %s", part, why), "without it, it is not known which addresses are in use; ask for the right to list it"}
		}
	}
	if dump != nil {
		s.WhereaboutsPools, s.WhereaboutsReservations, s.WhereaboutsSlices = dump.WhereaboutsPools, dump.WhereaboutsReservations, dump.WhereaboutsSlices
		s.Definitions = append(s.Definitions, dump.Definitions...)
	} else if why, ok := s.Unread[snapshot.WhereaboutsPools]; ok && f.from == legacy.FromWhereabouts {
		return nil, &problem{exitFailed, fmt.Errorf("read %s: %s", snapshot.WhereaboutsPools, why), "is whereabouts in this cluster? --file reads what kubectl wrote of another"}
	}
	return s, nil
}

func readDump(file string) (*snapshot.Snapshot, error) {
	raw, err := []byte(nil), error(nil)
	if file == "-" {
		raw, err = io.ReadAll(os.Stdin)
	} else {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, &problem{exitNotFound, fmt.Errorf("read the dump: %w", err), ""}
	}
	s, err := snapshot.FromDump(raw)
	if err != nil {
		return nil, &problem{exitFailed, fmt.Errorf("read %s: %w", file, err), "it is to be what kubectl get -A -o yaml (or json) wrote"}
	}
	return s, nil
}

// read reads the plugin's records.
func (f importFlags) read(s *snapshot.Snapshot, names map[string]string) (legacy.Found, error) {
	if f.from == legacy.FromWhereabouts {
		w := legacy.Whereabouts{Pools: s.WhereaboutsPools, Reservations: s.WhereaboutsReservations, Slices: s.WhereaboutsSlices, Definitions: definitionsOf(s), Names: names}
		for _, n := range s.Nodes {
			w.Nodes = append(w.Nodes, n.Name)
		}
		return w.Read(), nil
	}
	var all legacy.Found
	for _, text := range f.dirs {
		node, folder, _ := strings.Cut(text, "=")
		if !slices.ContainsFunc(s.Nodes, func(n corev1.Node) bool { return n.Name == node }) {
			return all, notFound("kubectl get nodes lists them", "there is no node %s", node)
		}
		found, err := legacy.HostLocal{Node: node, Dir: os.DirFS(folder), Definitions: definitionsOf(s)}.Read()
		if err != nil {
			return all, err
		}
		all.Add(found)
	}
	return all, nil
}

// bindAll carries the steps out. What one address is refused for does not keep
// the others.
func (a *app) bindAll(ctx context.Context, steps []importStep) error {
	book, err := a.cluster.ledger()
	if err != nil {
		return err
	}
	p := a.watch("binding addresses")
	defer p.end()
	for i := range steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.now(fmt.Sprintf("binding addresses, %d of %d", i, len(steps)))
		bindOne(ctx, book, &steps[i])
	}
	return nil
}

func bindOne(ctx context.Context, book ipam.Book, s *importStep) {
	switch s.Verb {
	case legacy.Bind, legacy.Present, legacy.Replace, legacy.Duplicate:
	default:
		return
	}
	if s.Verb != legacy.Duplicate && s.Bind.NodeUID == "" {
		s.Error = "its node " + s.Bind.Node + " is not in the cluster"
		return
	}
	got, kept, err := ipam.Keep(ctx, book, s.Bind)
	switch {
	case ipam.IsOwn(err, s.Bind.Owner):
		s.Verb = legacy.Own
		return
	case ipam.ReasonOf(err) == ipam.Taken:
		s.Verb, s.Note = legacy.Conflict, err.Error()
		return
	case err != nil:
		s.Error = err.Error()
	}
	s.IPAddress = got.Name
	if s.Verb == legacy.Bind && kept == ipam.KeptAlready {
		s.Verb = legacy.Present
	}
}

// unsettled tells whether something is left for people.
func (v importView) unsettled() bool {
	return slices.ContainsFunc(v.Steps, func(s importStep) bool {
		return s.Verb == legacy.Duplicate || s.Verb == legacy.Conflict || s.Error != ""
	}) || slices.ContainsFunc(v.Problems, func(p legacy.Problem) bool { return p.Lost })
}
