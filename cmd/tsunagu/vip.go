package main

import (
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/vip/control"
)

// vipRun is where tsunagu-vip has its socket, unless it is told otherwise.
const vipRun = "/run/tsunagu-vip"

func (a *app) vip() *cobra.Command {
	return group("vip", "the control plane's address: manifests, checks before use, who has it",
		a.vipManifest(), a.vipCheck(), a.vipStatus(), a.vipHandover(), a.vipRemove(), a.vipImport())
}

func socketFlag(c *cobra.Command) *string {
	return c.Flags().String("socket", filepath.Join(vipRun, control.SocketName), "control socket of the node's tsunagu-vip")
}

func (a *app) vipStatus() *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "who has the address, as this node sees it", Args: cobra.NoArgs,
		Long: "status asks the tsunagu-vip of this node (as root, on any control-plane node or worker that runs one).",
	}
	socket := socketFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := control.NewClient(*socket).Status(c.Context())
		if err != nil {
			return &problem{exitUnreachable, err, "run this as root on a node where tsunagu-vip runs; --socket names its socket"}
		}
		return a.show(a.format, s, func(w io.Writer) { printVIP(w, a.terminal, s) })
	}
	return c
}

func printVIP(w io.Writer, t terminal, s control.Status) {
	if len(s.Addresses) > 0 {
		owner := s.Owner
		switch {
		case owner == "":
			owner = "nobody, as far as this node knows"
		case s.Owns:
			owner += " (this node)"
		}
		at := strings.Join(s.Addresses, ", ")
		if s.Interface != "" {
			at += " on " + s.Interface
		}
		fmt.Fprintf(w, "%s: %s\n\n", at, owner)
		rows := table{header: []string{"NODE", "OWNER", "READY", "WEIGHT", "HEARD"}, width: t.width()}
		for _, m := range s.Members {
			// Followers hear the owner only: what they do not hear they do not know.
			ready, weight, heard := "-", "-", "-"
			if m.Self || m.SilentMS >= 0 {
				ready, weight, heard = yesNo(m.Ready), fmt.Sprint(m.Weight), fmt.Sprintf("%.0fms ago", m.SilentMS)
			}
			if m.Self {
				heard = "this node"
			}
			is := ""
			if m.Address == s.Owner {
				is = "yes"
			}
			rows.add(m.Address, is, ready, weight, heard)
		}
		rows.print(w, "this node is not taken in yet")
		if s.Changing {
			fmt.Fprintln(w, "the members are being changed")
		}
	}
	if len(s.Peers) > 0 {
		fmt.Fprintln(w)
		rows := table{header: []string{"ROUTER", "AS", "SESSION", "WHY"}, width: t.width()}
		for _, p := range s.Peers {
			rows.add(p.Address, p.AS, p.State, p.Why)
		}
		rows.dropEmpty("WHY")
		rows.print(w, "")
	}
	if len(s.Servers) > 0 {
		fmt.Fprintln(w)
		rows := table{header: []string{"API SERVER", "WORKS", "LOCAL", "CONNECTIONS", "WHY"}, width: t.width()}
		for _, x := range s.Servers {
			local := ""
			if x.Local {
				local = "yes"
			}
			rows.add(x.Server, yesNo(x.Works), local, x.Connections, x.Why)
		}
		rows.dropEmpty("WHY")
		rows.print(w, "")
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) vipHandover() *cobra.Command {
	c := &cobra.Command{Use: "handover [NODE-ADDRESS]", Short: "gives the address from this node to another one, within milliseconds", Args: cobra.MaximumNArgs(1)}
	socket := socketFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return control.NewClient(*socket).Handover(c.Context(), strings.Join(args, ""))
	}
	return c
}

func (a *app) vipRemove() *cobra.Command {
	c := &cobra.Command{Use: "remove NODE-ADDRESS", Short: "takes a node that is gone for good off the list of control-plane nodes (on the node with the address)", Args: cobra.ExactArgs(1)}
	socket := socketFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return control.NewClient(*socket).Remove(c.Context(), args[0])
	}
	return c
}

// addresses reads a list of IP addresses of a flag.
func addresses(flag, list string) (all []netip.Addr, err error) {
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		a, err := netip.ParseAddr(word)
		if err != nil || a.Zone() != "" {
			return nil, usage("an address such as 10.0.0.100, or several with commas between", "--%s: %q is no IP address", flag, word)
		}
		all = append(all, a)
	}
	return all, nil
}
