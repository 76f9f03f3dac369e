package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/near"
)

// networkDetail is what `network show -o json` prints.
type networkDetail struct {
	networkView
	Pools      []poolView      `json:"pools"`
	Conditions []conditionView `json:"conditions"`
	Members    []addressView   `json:"members"`
}

type conditionView struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (a *app) networkShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NETWORK",
		Short: "one network: who may use it, its pools, its conditions, the Pods on it",
		Long:  "NETWORK is the name of a Network, or namespace/name of a NetworkAttachmentDefinition.",
		Args:  exactly(1, "the name of a network; `tsunagu network list` lists them"),
		ValidArgsFunction: a.complete(func(s *doctor.Snapshot) []string {
			var names []string
			for _, n := range viewNetworks(s) {
				names = append(names, n.Name)
			}
			return names
		}, doctor.Networks, doctor.Definitions),
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, doctor.Networks, doctor.Definitions, doctor.Pods, doctor.Pools,
				doctor.Nodes, doctor.Blocks, doctor.Addresses)
			if err != nil {
				return err
			}
			a.mention(s)
			v, err := viewNetworkDetail(s, args[0], a.cluster.home())
			if err != nil {
				return err
			}
			return a.show(a.format, v, func(w io.Writer) { v.print(w, a.terminal) })
		},
	}
}

func viewNetworkDetail(s *doctor.Snapshot, name, home string) (networkDetail, error) {
	all := viewNetworks(s)
	i := slices.IndexFunc(all, func(n networkView) bool { return n.Name == name || n.Name == home+"/"+name })
	if i < 0 {
		var names []string
		for _, n := range all {
			names = append(names, n.Name)
		}
		return networkDetail{}, notFound(didYouMean(name, names, "tsunagu network list lists what there is"), "there is no network %s", name)
	}
	v := networkDetail{networkView: all[i], Pools: []poolView{}, Conditions: []conditionView{}, Members: []addressView{}}
	for _, p := range viewPools(s) {
		if v.Source == "Network" && p.Network == v.Name {
			v.Pools = append(v.Pools, p)
		}
	}
	for _, n := range s.Networks {
		if v.Source != "Network" || n.Name != v.Name {
			continue
		}
		for _, c := range n.Status.Conditions {
			v.Conditions = append(v.Conditions, conditionView{c.Type, string(c.Status), c.Reason, c.Message})
		}
	}
	for _, h := range viewAddresses(s) {
		if h.on(v.networkView) {
			v.Members = append(v.Members, h)
		}
	}
	return v, nil
}

func (v networkDetail) print(w io.Writer, t terminal) {
	width := t.width()
	fmt.Fprint(w, wrap("network     ", v.Name+" ("+v.Source+")", width))
	fmt.Fprint(w, wrap("kind        ", v.Kind, width))
	if v.Interface != "" {
		fmt.Fprint(w, wrap("interface   ", v.Interface+" of each node", width))
	}
	fmt.Fprint(w, wrap("subnets     ", orNone(v.Subnets), width))
	fmt.Fprint(w, wrap("namespaces  ", orNone(v.Namespaces), width))
	ready := v.Ready
	if v.Message != "" {
		ready += ": " + v.Message
	}
	fmt.Fprint(w, wrap("ready       ", ready, width))
	if len(v.Pools) > 0 {
		fmt.Fprintln(w)
		printPools(w, t, v.Pools)
	}
	fmt.Fprintln(w)
	printAddresses(w, t, v.Members, "no Pod is on it")
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// exactly is cobra.ExactArgs with a sentence about what is wanted.
func exactly(n int, wanted string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("usage: "+c.UseLine(), "%s wants %s, have %d arguments", c.CommandPath(), wanted, len(args))
		}
		return nil
	}
}

// complete offers names read from the cluster, quickly or not at all.
func (a *app) complete(names func(*doctor.Snapshot) []string, parts ...doctor.Part) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s, _, err := a.cluster.snapshot(ctx, terminal{io.Discard, io.Discard}, parts...)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(s), cobra.ShellCompDirectiveNoFileComp
	}
}

// didYouMean is a hint that names what is near to a word, or else the other
// hint.
func didYouMean(word string, candidates []string, otherwise string) string {
	if meant := near.Names(word, candidates); len(meant) > 0 {
		return "did you mean " + strings.Join(meant, " or ") + "?"
	}
	return otherwise
}
