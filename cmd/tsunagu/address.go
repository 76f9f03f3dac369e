package main

import (
	"cmp"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// addressView is one address on one interface of a Pod.
type addressView struct {
	Address   netip.Addr `json:"address"`
	Network   string     `json:"network"` // as in network-status; "pods" for the pod network
	Namespace string     `json:"namespace"`
	Pod       string     `json:"pod"`
	Interface string     `json:"interface"`
	MAC       string     `json:"mac,omitempty"`
	Node      string     `json:"node"`
	origin
}

// addressParts is what must be read to tell where addresses come from.
var addressParts = []doctor.Part{doctor.Nodes, doctor.Pods, doctor.Definitions, doctor.Pools, doctor.Blocks, doctor.Addresses}

func (a *app) address() *cobra.Command {
	return group("address", "addresses: who has them and where they come from", a.addressList(), a.addressShow(), a.addressExplain(), a.addressImport(), a.addressExport(), a.addressCheck(), a.addressReserve(), a.addressRelease())
}

func (a *app) addressList() *cobra.Command {
	var network, pool, node string
	c := &cobra.Command{
		Use:   "list",
		Short: "every address of a Pod",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, addressParts...)
			if err != nil {
				return err
			}
			v := slices.DeleteFunc(viewAddresses(s), func(v addressView) bool {
				return network != "" && !v.onNamed(s, network) || pool != "" && v.Pool != pool || node != "" && v.Node != node ||
					a.cluster.namespace != "" && v.Namespace != a.cluster.namespace
			})
			a.mention(s)
			return a.show(a.format, v, func(w io.Writer) { printAddresses(w, a.terminal, v, "no addresses") })
		},
	}
	c.Flags().StringVar(&network, "network", "", "only on this network (a Network, namespace/name of a definition, or pods)")
	c.Flags().StringVar(&pool, "pool", "", "only of this IPPool")
	c.Flags().StringVar(&node, "node", "", "only on this node")
	return c
}

// viewAddresses lists every address of a Pod by network and address.
func viewAddresses(s *doctor.Snapshot) []addressView {
	all := []addressView{}
	from := newOrigins(s)
	for _, h := range s.Holdings() {
		all = append(all, viewHolding(from, h))
	}
	slices.SortFunc(all, func(a, b addressView) int {
		return cmp.Or(strings.Compare(a.Network, b.Network), a.Address.Compare(b.Address), strings.Compare(a.Namespace+"/"+a.Pod, b.Namespace+"/"+b.Pod))
	})
	return all
}

func viewHolding(from *origins, h doctor.Holding) addressView {
	v := addressView{Address: h.Address, Network: h.Network, Namespace: h.Pod.Namespace, Pod: h.Pod.Name, Interface: h.Interface, MAC: h.MAC,
		Node: h.Pod.Spec.NodeName, origin: from.of(h)}
	if h.Default {
		v.Network = ipam.PodDomain
	}
	return v
}

// on tells whether an address is on a network of the list of networks.
func (v addressView) on(n networkView) bool {
	if n.Source != "Network" {
		return v.Network == n.Name
	}
	namespace, name, _ := strings.Cut(v.Network, "/")
	return name == n.Name && slices.Contains(n.Namespaces, namespace)
}

// onNamed tells whether an address is on a network as people name it.
func (v addressView) onNamed(s *doctor.Snapshot, name string) bool {
	if v.Network == name {
		return true
	}
	_, short, _ := strings.Cut(v.Network, "/")
	return short == name && v.Domain == name
}

func printAddresses(w io.Writer, t terminal, addresses []addressView, empty string) {
	rows := table{header: []string{"ADDRESS", "NETWORK", "POD", "INTERFACE", "NODE", "MAC", "POOL", "FROM"}, width: t.width(), spare: []string{"MAC", "FROM", "POOL", "INTERFACE"}}
	for _, v := range addresses {
		rows.add(v.Address, v.Network, v.Namespace+"/"+v.Pod, v.Interface, v.Node, v.MAC, v.Pool, v.word())
	}
	rows.print(w, empty)
}
