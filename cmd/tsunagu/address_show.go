package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// addressDetail is what `address show -o json` prints.
type addressDetail struct {
	Address netip.Addr    `json:"address"`
	Holders []addressView `json:"holders"`
	Pools   []poolVerdict `json:"pools"`
	Blocks  []blockView   `json:"blocks"`
	Bound   []boundView   `json:"ipAddresses"`
	Nodes   []string      `json:"nodes"`    // that have the address themselves
	PodCIDR []string      `json:"podCIDRs"` // "node prefix"
}

// poolVerdict is what one pool says about an address.
type poolVerdict struct {
	Pool   string `json:"pool"`
	Domain string `json:"domain"`
	// WhyNot is empty when the pool gives the address out.
	WhyNot string `json:"whyNot,omitempty"`
}

type blockView struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
	CIDR   string `json:"cidr"`
	Node   string `json:"node"`
	State  string `json:"state"`
}

type boundView struct {
	Name      string `json:"name"`
	Domain    string `json:"domain"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Interface string `json:"interface"`
	Node      string `json:"node"`
	// Claim that it belongs to, why it is Reserved, whose MAC keeps it away,
	// and where an imported one comes from.
	Claim    string `json:"claim,omitempty"`
	Reserved string `json:"reserved,omitempty"`
	Stranger string `json:"stranger,omitempty"`
	Origin   string `json:"origin,omitempty"`
	// Incoming is the Pod that a virtual machine brings it to.
	Incoming string `json:"incoming,omitempty"`
}

// sentence says for whom it is bound.
func (b boundView) sentence() string {
	said := "to nobody"
	switch {
	case b.Pod != "":
		said = fmt.Sprintf("to Pod %s/%s, interface %s, node %s", b.Namespace, b.Pod, b.Interface, b.Node)
	case b.Claim != "":
		said = "to nobody now, kept for IPClaim " + b.Claim
	case b.Reserved != "":
		said = "to nobody, reserved: " + b.Reserved
	case b.Stranger != "":
		said = "to nobody, because a stranger with MAC " + b.Stranger + " uses it"
	}
	if b.Incoming != "" {
		said += ", and to " + b.Incoming + ", which its virtual machine migrates to"
	}
	if b.Origin != "" {
		said += ", imported from " + b.Origin
	}
	return said
}

func (a *app) addressShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show IP",
		Short: "one address: who has it, which pool and block it belongs to",
		Args:  exactly(1, "an address"),
		RunE: func(c *cobra.Command, args []string) error {
			ip, err := netip.ParseAddr(args[0])
			if err != nil {
				return usage("give one address without prefix length, such as 192.168.10.7 or fd00:10::7", "%q is not an address", args[0])
			}
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, addressParts...)
			if err != nil {
				return err
			}
			v := viewAddressDetail(s, ip.Unmap())
			a.mention(s)
			return a.show(a.format, v, func(w io.Writer) { v.print(w, a.terminal) })
		},
	}
}

func viewAddressDetail(s *doctor.Snapshot, ip netip.Addr) addressDetail {
	v := addressDetail{Address: ip, Holders: []addressView{}, Pools: []poolVerdict{}, Blocks: []blockView{}, Bound: []boundView{}, Nodes: []string{}, PodCIDR: []string{}}
	for _, h := range viewAddresses(s) {
		if h.Address == ip {
			v.Holders = append(v.Holders, h)
		}
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		if prefix, err := netip.ParsePrefix(p.Spec.CIDR); err == nil && prefix.Contains(ip) {
			v.Pools = append(v.Pools, poolVerdict{p.Name, cmp.Or(p.Spec.Domain, ipam.DefaultDomain), doctor.WhyNot(p, ip)})
		}
	}
	for _, b := range s.Blocks {
		if ipam.IsQuota(b.Spec.Domain) {
			continue // it leases no address, but the right to one
		}
		if prefix, err := netip.ParsePrefix(b.Spec.CIDR); err == nil && prefix.Contains(ip) {
			v.Blocks = append(v.Blocks, blockView{b.Name, b.Spec.Domain, b.Spec.CIDR, b.Spec.Owner.Node, string(b.Spec.State)})
		}
	}
	for _, b := range s.Addresses {
		if ipam.IsQuota(b.Spec.Domain) {
			continue
		}
		if bound, err := netip.ParseAddr(b.Spec.Address); err == nil && bound == ip {
			o := b.Spec.Owner
			one := boundView{Name: b.Name, Domain: b.Spec.Domain, Namespace: o.Namespace, Pod: o.Pod, Interface: o.Interface, Node: o.Node, Reserved: b.Spec.Reserved, Origin: b.Spec.Origin}
			if b.Spec.Claim.Name != "" {
				one.Claim = b.Spec.Claim.Namespace + "/" + b.Spec.Claim.Name
			}
			if in := b.Spec.Incoming; in.Pod != "" {
				one.Incoming = fmt.Sprintf("Pod %s/%s on node %s", in.Namespace, in.Pod, in.Node)
			}
			if b.Spec.Quarantine != nil {
				one.Stranger = b.Spec.Quarantine.MAC
			}
			v.Bound = append(v.Bound, one)
		}
	}
	for _, n := range s.Nodes {
		for _, own := range doctor.InternalIPs(n) {
			if own == ip {
				v.Nodes = append(v.Nodes, n.Name)
			}
		}
		for _, text := range n.Spec.PodCIDRs {
			if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Contains(ip) {
				v.PodCIDR = append(v.PodCIDR, n.Name+" "+text)
			}
		}
	}
	return v
}

func (v addressDetail) print(w io.Writer, t terminal) {
	width := t.width()
	line := func(label, text string) { fmt.Fprint(w, wrap(fmt.Sprintf("%-10s", label), text, width)) }
	line("address", v.Address.String())
	for _, h := range v.Holders {
		line("held by", fmt.Sprintf("Pod %s/%s on node %s, interface %s, network %s, %s", h.Namespace, h.Pod, h.Node, h.Interface, h.Network, h.sentence()))
	}
	for _, node := range v.Nodes {
		line("held by", "node "+node+" itself")
	}
	if len(v.Holders)+len(v.Nodes) == 0 {
		line("held by", "nobody")
	}
	for _, p := range v.Pools {
		verdict := "gives it out"
		if p.WhyNot != "" {
			verdict = "does not give it out: " + p.WhyNot
		}
		line("pool", fmt.Sprintf("%s (domain %s) %s", p.Pool, p.Domain, verdict))
	}
	for _, b := range v.Blocks {
		line("block", fmt.Sprintf("%s (domain %s, %s) is leased to node %s, %s", b.Name, b.Domain, b.CIDR, b.Node, b.State))
	}
	for _, b := range v.Bound {
		line("bound", fmt.Sprintf("by IPAddress %s (domain %s) %s", b.Name, b.Domain, b.sentence()))
	}
	for _, p := range v.PodCIDR {
		line("podCIDR", "of node "+p)
	}
}
