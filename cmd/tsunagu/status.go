package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor"
)

// statusView is what `status -o json` prints.
type statusView struct {
	Nodes      []nodeView     `json:"nodes"`
	Controller controllerView `json:"controller"`
	Networks   []networkView  `json:"networks"`
	Pools      []poolView     `json:"pools"`
	// Unread are the resources that could not be listed, and why.
	Unread map[doctor.Part]string `json:"unread,omitempty"`
}

type nodeView struct {
	Name      string   `json:"name"`
	Ready     bool     `json:"ready"`
	Agent     string   `json:"agent"` // ready, not ready, missing
	Version   string   `json:"version,omitempty"`
	Overlay   string   `json:"overlay,omitempty"` // as the agent reports it
	Address   []string `json:"addresses"`
	PodCIDRs  []string `json:"podCIDRs"`
	Pods      int      `json:"pods"` // with addresses of their own
	Addresses int      `json:"addressesUsed"`
}

type controllerView struct {
	State   string `json:"state"` // ready, not ready, missing, unknown
	Version string `json:"version,omitempty"`
}

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "nodes and their agents, the controller, networks and pools",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, reader, err := a.cluster.snapshot(c.Context(), a.terminal, doctor.Nodes, doctor.Pods, doctor.DaemonSets, doctor.Deployments,
				doctor.Definitions, doctor.Networks, doctor.Pools)
			if err != nil {
				return err
			}
			a.askAgents(c.Context(), reader, s)
			v := viewStatus(s)
			if err := a.show(a.format, v, func(w io.Writer) { v.print(w, a.terminal) }); err != nil {
				return err
			}
			a.mention(s)
			if v.trouble() {
				fmt.Fprintln(a.err, "hint: tsunagu doctor says what is wrong and what to do")
			}
			return nil
		},
	}
}

func viewStatus(s *doctor.Snapshot) statusView {
	v := statusView{Nodes: []nodeView{}, Networks: viewNetworks(s), Pools: viewPools(s), Unread: s.Unread}
	agents := s.Agents()
	pods, addresses := map[string]int{}, map[string]int{}
	seen := map[*corev1.Pod]bool{}
	for _, h := range s.Holdings() {
		addresses[h.Pod.Spec.NodeName]++
		if !seen[h.Pod] {
			seen[h.Pod] = true
			pods[h.Pod.Spec.NodeName]++
		}
	}
	for _, n := range s.Nodes {
		view := nodeView{Name: n.Name, Ready: nodeReady(n), Agent: "missing", Address: []string{}, PodCIDRs: slices.Clone(n.Spec.PodCIDRs),
			Pods: pods[n.Name], Addresses: addresses[n.Name]}
		if view.PodCIDRs == nil {
			view.PodCIDRs = []string{}
		}
		for _, ip := range doctor.InternalIPs(n) {
			view.Address = append(view.Address, ip.String())
		}
		report := s.Reports[n.Name]
		if p := agents[n.Name]; p != nil {
			view.Agent, view.Version = "not ready", cmp.Or(report.Version, doctor.ImageVersion(p))
			if doctor.IsReady(p) {
				view.Agent = "ready"
			}
		}
		view.Overlay = overlayWord(report.Overlay)
		v.Nodes = append(v.Nodes, view)
	}
	slices.SortFunc(v.Nodes, func(a, b nodeView) int { return strings.Compare(a.Name, b.Name) })
	v.Controller = viewController(s)
	return v
}

// trouble tells whether something of tsunagu's is not as it should be.
func (v statusView) trouble() bool {
	return v.Controller.State != "ready" || slices.ContainsFunc(v.Nodes, func(n nodeView) bool { return n.Agent != "ready" || n.Overlay == "not ready" }) ||
		slices.ContainsFunc(v.Networks, func(n networkView) bool { return n.Ready == "no" })
}

func nodeReady(n corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func overlayWord(o *doctor.OverlayReport) string {
	switch {
	case o == nil:
		return ""
	case !o.Ready:
		return "not ready"
	}
	return cmp.Or(o.Encap, "ready")
}

func viewController(s *doctor.Snapshot) controllerView {
	if s.Unread[doctor.Deployments] != "" {
		return controllerView{State: "unknown"}
	}
	d := s.Controller()
	if d == nil {
		return controllerView{State: "missing"}
	}
	v := controllerView{State: "not ready"}
	if d.Status.ReadyReplicas > 0 {
		v.State = "ready"
	}
	if len(d.Spec.Template.Spec.Containers) > 0 {
		v.Version = doctor.ImageVersion(&corev1.Pod{Spec: d.Spec.Template.Spec})
	}
	return v
}

func (v statusView) print(w io.Writer, t terminal) {
	nodes := table{header: []string{"NODE", "READY", "AGENT", "VERSION", "OVERLAY", "ADDRESS", "POD CIDR", "PODS", "ADDRESSES"}, width: t.width(), spare: []string{"PODS", "ADDRESSES", "POD CIDR", "VERSION"}}
	for _, n := range v.Nodes {
		nodes.add(n.Name, yes(n.Ready), n.Agent, n.Version, n.Overlay, strings.Join(n.Address, ","), strings.Join(n.PodCIDRs, ","), n.Pods, n.Addresses)
	}
	nodes.dropEmpty("OVERLAY") // only agents know, and they are not always asked
	nodes.print(w, "no nodes")
	fmt.Fprintf(w, "\ncontroller: %s", v.Controller.State)
	if v.Controller.Version != "" {
		fmt.Fprintf(w, " (%s)", v.Controller.Version)
	}
	fmt.Fprint(w, "\n\n")
	printNetworks(w, t, v.Networks)
	fmt.Fprintln(w)
	printPools(w, t, v.Pools)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
