package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
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

// origin is where an address came from.
type origin struct {
	// Kind is podCIDR, block, bound (an IPAddress), written (in a
	// configuration), or unknown.
	Kind   string `json:"origin"`
	Pool   string `json:"pool,omitempty"`
	Block  string `json:"block,omitempty"`     // name of the IPBlock
	Bound  string `json:"ipAddress,omitempty"` // name of the IPAddress
	Prefix string `json:"prefix,omitempty"`    // of the block or the podCIDR
	Owner  string `json:"ownerNode,omitempty"` // who may give it out
	Domain string `json:"domain"`
}

// addressParts is what must be read to tell where addresses come from.
var addressParts = []doctor.Part{doctor.Nodes, doctor.Pods, doctor.Definitions, doctor.Pools, doctor.Blocks, doctor.Addresses}

func (a *app) address() *cobra.Command {
	return group("address", "addresses: who has them and where they come from", a.addressList(), a.addressShow(), a.addressExplain())
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
	for _, h := range s.Holdings() {
		all = append(all, viewHolding(s, h))
	}
	slices.SortFunc(all, func(a, b addressView) int {
		return cmp.Or(strings.Compare(a.Network, b.Network), a.Address.Compare(b.Address), strings.Compare(a.Namespace+"/"+a.Pod, b.Namespace+"/"+b.Pod))
	})
	return all
}

func viewHolding(s *doctor.Snapshot, h doctor.Holding) addressView {
	v := addressView{Address: h.Address, Network: h.Network, Namespace: h.Pod.Namespace, Pod: h.Pod.Name, Interface: h.Interface, MAC: h.MAC,
		Node: h.Pod.Spec.NodeName, origin: findOrigin(s, h)}
	if h.Default {
		v.Network = ipam.PodDomain
	}
	return v
}

// findOrigin looks an address up in what gives addresses out.
func findOrigin(s *doctor.Snapshot, h doctor.Holding) origin {
	o := origin{Kind: "unknown", Domain: h.Domain}
	if h.Default {
		for _, n := range s.Nodes {
			for _, text := range n.Spec.PodCIDRs {
				if p, err := netip.ParsePrefix(text); err == nil && p.Contains(h.Address) {
					o.Kind, o.Prefix, o.Owner = "podCIDR", text, n.Name
				}
			}
		}
		return o
	}
	if !h.Managed {
		o.Kind = "written"
		return o
	}
	if p := poolOf(s, h.Domain, h.Address); p != nil {
		o.Pool = p.Name
	}
	if b := blockOf(s, h.Domain, h.Address); b != nil {
		o.Kind, o.Block, o.Prefix, o.Owner = "block", b.Name, b.Spec.CIDR, b.Spec.Owner.Node
	}
	if bound := boundAs(s, h.Domain, h.Address); bound != nil {
		o.Kind, o.Bound, o.Owner = "bound", bound.Name, bound.Spec.Owner.Node
		o.Pool = cmp.Or(bound.Spec.Pool, o.Pool)
	}
	return o
}

// poolOf is the pool of a domain that gives out an address, else one whose
// subnet has it, else nil.
func poolOf(s *doctor.Snapshot, domain string, a netip.Addr) *v1alpha1.IPPool {
	var within *v1alpha1.IPPool
	for i := range s.Pools {
		p := &s.Pools[i]
		prefix, err := netip.ParsePrefix(p.Spec.CIDR)
		if err != nil || cmp.Or(p.Spec.Domain, ipam.DefaultDomain) != domain || !prefix.Contains(a) {
			continue
		}
		if doctor.WhyNot(p, a) == "" {
			return p
		}
		within = p
	}
	return within
}

func blockOf(s *doctor.Snapshot, domain string, a netip.Addr) *v1alpha1.IPBlock {
	for i, b := range s.Blocks {
		if p, err := netip.ParsePrefix(b.Spec.CIDR); err == nil && b.Spec.Domain == domain && p.Contains(a) {
			return &s.Blocks[i]
		}
	}
	return nil
}

func boundAs(s *doctor.Snapshot, domain string, a netip.Addr) *v1alpha1.IPAddress {
	for i, bound := range s.Addresses {
		if ip, err := netip.ParseAddr(bound.Spec.Address); err == nil && bound.Spec.Domain == domain && ip == a {
			return &s.Addresses[i]
		}
	}
	return nil
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
	rows := table{header: []string{"ADDRESS", "NETWORK", "POD", "INTERFACE", "NODE", "MAC", "POOL", "FROM"}, width: t.width()}
	for _, v := range addresses {
		rows.add(v.Address, v.Network, v.Namespace+"/"+v.Pod, v.Interface, v.Node, v.MAC, v.Pool, v.from())
	}
	rows.print(w, empty)
}

// from is the origin in one word for a table.
func (o origin) from() string {
	switch o.Kind {
	case "podCIDR":
		return "podCIDR " + o.Prefix
	case "block":
		return "block " + o.Prefix
	case "bound":
		return "IPAddress"
	case "written":
		return "configuration"
	}
	return "unknown"
}

// sentence is the origin for `address explain`.
func (o origin) sentence() string {
	switch o.Kind {
	case "podCIDR":
		return fmt.Sprintf("from podCIDR %s of node %s", o.Prefix, o.Owner)
	case "block":
		return fmt.Sprintf("from IPBlock %s (%s) leased to node %s, pool %s, domain %s", o.Block, o.Prefix, o.Owner, cmp.Or(o.Pool, "-"), o.Domain)
	case "bound":
		said := fmt.Sprintf("bound by IPAddress %s, pool %s, domain %s", o.Bound, cmp.Or(o.Pool, "-"), o.Domain)
		if o.Block != "" {
			said += fmt.Sprintf(", inside IPBlock %s (%s)", o.Block, o.Prefix)
		}
		return said
	case "written":
		return "written in the network's definition, nobody gives it out"
	}
	return "of domain " + o.Domain + ": no IPBlock, IPAddress or podCIDR has it"
}

// mention says on stderr which lists the answer lacks.
func (a *app) mention(s *doctor.Snapshot) {
	for _, part := range sortedKeys(s.Unread) {
		fmt.Fprintf(a.err, "without %s: %s\n", part, s.Unread[part])
	}
}
