package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor"
)

// podView is what `address explain -o json` prints.
type podView struct {
	Namespace  string          `json:"namespace"`
	Pod        string          `json:"pod"`
	Node       string          `json:"node"`
	Phase      string          `json:"phase"`
	Interfaces []interfaceView `json:"interfaces"`
	// Notes are findings of the doctor about this Pod, and why it has no
	// addresses of its own.
	Notes []string `json:"notes"`
}

type interfaceView struct {
	Name      string        `json:"name"`
	Network   string        `json:"network"`
	MAC       string        `json:"mac,omitempty"`
	MTU       int           `json:"mtu,omitempty"`
	Gateways  []string      `json:"gateways"` // of default routes by this interface
	Addresses []addressView `json:"addresses"`
}

func (a *app) addressExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [NAMESPACE/]POD",
		Short: "a Pod's interfaces, and where each of its addresses comes from",
		Args:  exactly(1, "the name of a Pod"),
		ValidArgsFunction: a.complete(func(s *doctor.Snapshot) []string {
			var names []string
			for _, p := range s.Pods {
				if p.Namespace == a.cluster.home() {
					names = append(names, p.Name)
				}
			}
			return names
		}, doctor.Pods),
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, append(addressParts, doctor.Events, doctor.Networks)...)
			if err != nil {
				return err
			}
			p, err := findPod(s, args[0], a.cluster.home())
			if err != nil {
				return err
			}
			v := viewPod(s, p)
			a.mention(s)
			return a.show(a.format, v, func(w io.Writer) { v.print(w, a.terminal) })
		},
	}
}

func findPod(s *doctor.Snapshot, name, home string) (*corev1.Pod, error) {
	namespace, short, ok := strings.Cut(strings.TrimPrefix(name, "pod/"), "/")
	if !ok {
		namespace, short = home, namespace
	}
	var near []string
	for i, p := range s.Pods {
		if p.Name == short && p.Namespace == namespace {
			return &s.Pods[i], nil
		}
		if p.Namespace == namespace {
			near = append(near, p.Name)
		} else if p.Name == short {
			near = append(near, p.Namespace+"/"+p.Name)
		}
	}
	hint := didYouMean(short, near, "-n chooses the namespace")
	return nil, notFound(hint, "there is no Pod %s in namespace %s", short, namespace)
}

func viewPod(s *doctor.Snapshot, p *corev1.Pod) podView {
	v := podView{Namespace: p.Namespace, Pod: p.Name, Node: p.Spec.NodeName, Phase: string(p.Status.Phase), Interfaces: []interfaceView{}, Notes: []string{}}
	status, err := doctor.Status(p)
	switch {
	case err != nil:
		v.Notes = append(v.Notes, err.Error())
	case p.Spec.HostNetwork:
		v.Notes = append(v.Notes, "it is on its node's own network (hostNetwork) and has no addresses of its own")
	case len(status) == 0 && len(p.Status.PodIPs) > 0:
		v.Notes = append(v.Notes, "it has no network-status: another CNI plugin started it, or its interfaces are being made")
	case len(status) == 0:
		v.Notes = append(v.Notes, "it has no interfaces yet")
	}
	if !p.Spec.HostNetwork {
		from := newOrigins(s)
		for _, h := range s.HoldingsOf(p) {
			v.take(viewHolding(from, h))
		}
	}
	for _, on := range status {
		i := v.named(on.Interface)
		if i == nil {
			v.Interfaces = append(v.Interfaces, interfaceView{Name: on.Interface, Network: on.Name, Addresses: []addressView{}, Gateways: []string{}})
			i = &v.Interfaces[len(v.Interfaces)-1]
		}
		i.MAC, i.MTU = on.Mac, on.Mtu
		i.Gateways = append(i.Gateways, on.Gateway...)
	}
	about := doctor.Object{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	for _, f := range doctor.Run(s, doctor.Checks()).Findings {
		if f.Object == about {
			v.Notes = append(v.Notes, fmt.Sprintf("%s: %s. To do: %s", f.Code, f.Cause, f.Fix))
		}
	}
	return v
}

// take puts an address under its interface.
func (v *podView) take(a addressView) {
	i := v.named(a.Interface)
	if i == nil {
		v.Interfaces = append(v.Interfaces, interfaceView{Name: a.Interface, Network: a.Network, MAC: a.MAC, Gateways: []string{}})
		i = &v.Interfaces[len(v.Interfaces)-1]
	}
	i.Addresses = append(i.Addresses, a)
}

func (v *podView) named(name string) *interfaceView {
	i := slices.IndexFunc(v.Interfaces, func(i interfaceView) bool { return i.Name == name })
	if i < 0 {
		return nil
	}
	return &v.Interfaces[i]
}

func (v podView) print(w io.Writer, t terminal) {
	width := t.width()
	fmt.Fprint(w, wrap("", fmt.Sprintf("Pod %s/%s, %s on node %s", v.Namespace, v.Pod, v.Phase, orDash(v.Node)), width))
	for _, i := range v.Interfaces {
		what := "network " + i.Network
		if i.MAC != "" {
			what += ", MAC " + i.MAC
		}
		if i.MTU > 0 {
			what += fmt.Sprintf(", MTU %d", i.MTU)
		}
		if len(i.Gateways) > 0 {
			what += ", default route by " + strings.Join(i.Gateways, ", ")
		}
		fmt.Fprintf(w, "\n%s", wrap(t.bold(i.Name)+": ", what, width))
		if len(i.Addresses) == 0 {
			fmt.Fprintln(w, "  no address")
		}
		longest := 0
		for _, a := range i.Addresses {
			longest = max(longest, len(a.Address.String()))
		}
		for _, a := range i.Addresses {
			fmt.Fprint(w, wrap(fmt.Sprintf("  %-*s  ", longest, a.Address), a.sentence(), width))
		}
	}
	if len(v.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range v.Notes {
		fmt.Fprint(w, wrap("note: ", note, width))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
