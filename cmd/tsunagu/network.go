package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/doctor"
)

// networkView is one network that Pods can ask for: a Network, or a
// NetworkAttachmentDefinition that no Network made.
type networkView struct {
	// Name is that of the Network, or namespace/name of the definition.
	Name       string   `json:"name"`
	Source     string   `json:"source"` // Network or NetworkAttachmentDefinition
	Kind       string   `json:"kind"`
	Interface  string   `json:"interface,omitempty"`
	Subnets    []string `json:"subnets"`
	Ready      string   `json:"ready"` // yes, no, unknown
	Message    string   `json:"message,omitempty"`
	Namespaces []string `json:"namespaces"`
	Pods       int      `json:"pods"`
}

func (a *app) network() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "every network that Pods can ask for",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, doctor.Networks, doctor.Definitions, doctor.Pods, doctor.Pools)
			if err != nil {
				return err
			}
			v := viewNetworks(s)
			if a.cluster.namespace != "" {
				v = slices.DeleteFunc(v, func(n networkView) bool { return !slices.Contains(n.Namespaces, a.cluster.namespace) })
			}
			a.mention(s)
			return a.show(a.format, v, func(w io.Writer) { printNetworks(w, a.terminal, v) })
		},
	}
	return group("network", "networks that Pods can ask for", list, a.networkShow(), a.networkFromMultus())
}

func viewNetworks(s *doctor.Snapshot) []networkView {
	users := podsByNetwork(s)
	all := []networkView{}
	for _, n := range s.Networks {
		all = append(all, viewNetwork(s, n, users))
	}
	for i := range s.Definitions {
		d := &s.Definitions[i]
		if d.Labels[v1alpha1.NetworkLabel] != "" {
			continue
		}
		name := d.Namespace + "/" + d.Name
		v := networkView{Name: name, Source: "NetworkAttachmentDefinition", Ready: "yes", Subnets: []string{}, Namespaces: []string{d.Namespace}, Pods: len(users[name])}
		about, err := doctor.DescribeDefinition(d)
		if err != nil {
			v.Ready, v.Message = "no", err.Error()
		} else {
			v.Kind, v.Interface, v.Subnets = about.Kind, about.Interface, append(about.Subnets, poolCIDRs(s, about.Pools)...)
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b networkView) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Name, b.Name))
	})
	return all
}

func viewNetwork(s *doctor.Snapshot, n v1alpha1.Network, users map[string]map[string]bool) networkView {
	v := networkView{Name: n.Name, Source: "Network", Kind: n.Spec.Attachment.Kind, Subnets: []string{}, Ready: "unknown", Namespaces: []string{}}
	if n.Spec.Reach != nil {
		v.Interface = n.Spec.Reach.Interface
		if n.Spec.Reach.Trunk != "" {
			v.Interface = fmt.Sprintf("%s.%d", n.Spec.Reach.Trunk, n.Spec.Reach.VLAN)
		}
	}
	for _, subnet := range n.Spec.Subnets {
		v.Subnets = append(v.Subnets, subnet.CIDR)
	}
	if c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		v.Ready = map[bool]string{true: "yes", false: "no"}[c.Status == "True"]
		if v.Ready != "yes" {
			v.Message = c.Message
		}
	}
	pods := map[string]bool{}
	for _, d := range s.Definitions {
		if d.Labels[v1alpha1.NetworkLabel] == n.Name {
			v.Namespaces = append(v.Namespaces, d.Namespace)
			maps.Copy(pods, users[d.Namespace+"/"+d.Name])
		}
	}
	slices.Sort(v.Namespaces)
	v.Pods = len(pods)
	return v
}

// poolCIDRs are the subnets of pools by name; a pool that is not there stands
// for itself.
func poolCIDRs(s *doctor.Snapshot, names []string) []string {
	var all []string
	for _, name := range names {
		cidr := name
		for _, p := range s.Pools {
			if p.Name == name {
				cidr = p.Spec.CIDR
			}
		}
		all = append(all, cidr)
	}
	return all
}

// podsByNetwork is the Pods on each network, named as in network-status.
func podsByNetwork(s *doctor.Snapshot) map[string]map[string]bool {
	users := map[string]map[string]bool{}
	for i := range s.Pods {
		p := &s.Pods[i]
		interfaces, err := doctor.Status(p)
		if err != nil || doctor.Finished(p) {
			continue
		}
		for _, on := range interfaces {
			if users[on.Name] == nil {
				users[on.Name] = map[string]bool{}
			}
			users[on.Name][p.Namespace+"/"+p.Name] = true
		}
	}
	return users
}

func printNetworks(w io.Writer, t terminal, networks []networkView) {
	rows := table{header: []string{"NETWORK", "KIND", "INTERFACE", "SUBNETS", "READY", "NAMESPACES", "PODS"}, width: t.width(), spare: []string{"NAMESPACES", "INTERFACE"}}
	for _, n := range networks {
		where := fmt.Sprint(len(n.Namespaces))
		if len(n.Namespaces) > 0 && len(n.Namespaces) <= 3 {
			where = strings.Join(n.Namespaces, ",")
		}
		rows.add(n.Name, n.Kind, n.Interface, strings.Join(n.Subnets, ","), n.Ready, where, n.Pods)
	}
	rows.print(w, "no networks beside the pod network")
}

// sortedKeys is the keys of a map in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
