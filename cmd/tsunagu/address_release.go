package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kube/ledger"
)

// releaseView is what `address release -o json` prints of each object.
type releaseView struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Address  string `json:"address"` // of a block its prefix
	Domain   string `json:"domain"`
	Released bool   `json:"released"`
	// Reason says why it was not released, or why it would not have been.
	Reason string `json:"reason,omitempty"`
}

func (a *app) addressRelease() *cobra.Command {
	force := false
	c := &cobra.Command{
		Use:     "release IP|IPADDRESS|BLOCK...",
		Aliases: []string{"unreserve"},
		Short:   "gives back a reserved or leaked address, or the block of a node that is gone",
		Long: `release deletes the IPAddress or IPBlock named, by its name, its address or its prefix, if it is still as it was when it was judged.
It refuses what a live Pod uses, what an IPClaim keeps, and the block of a node that is in the cluster; --force does it
nevertheless and says what would have kept it.

Exit code: 0 released; 1 something was refused.`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: a.complete(func(s *doctor.Snapshot) []string {
			var names []string
			for _, o := range s.Addresses {
				names = append(names, o.Name)
			}
			return names
		}, doctor.Addresses),
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, addressParts...)
			if err != nil {
				return err
			}
			if err := complete(s, addressParts); err != nil {
				return err
			}
			book, err := a.cluster.ledger()
			if err != nil {
				return err
			}
			views := []releaseView{}
			for _, arg := range args {
				one, err := release(c.Context(), book, s, arg, force)
				if err != nil {
					return err
				}
				views = append(views, one...)
			}
			if err := a.show(a.format, views, func(w io.Writer) { printReleases(w, a.terminal, views) }); err != nil {
				return err
			}
			for _, v := range views {
				if !v.Released {
					return verdict(exitFailed)
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "release it although it seems to be used")
	return c
}

// complete refuses to judge by half of a picture.
func complete(s *doctor.Snapshot, parts []doctor.Part) error {
	for _, part := range parts {
		if why, ok := s.Unread[part]; ok {
			return &problem{exitFailed, fmt.Errorf("read %s: %s", part, why), "without it, it is not known who uses which address"}
		}
	}
	return nil
}

func (c *cluster) ledger() (*ledger.Ledger, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	cfg.Timeout, cfg.UserAgent = c.timeout, "tsunagu/"+version
	return ledger.New(cfg)
}

// release gives back what one argument names.
func release(ctx context.Context, book *ledger.Ledger, s *doctor.Snapshot, arg string, force bool) ([]releaseView, error) {
	addresses, blocks := named(s, arg)
	switch {
	case len(addresses)+len(blocks) == 0:
		return nil, nothingNamed(s, arg)
	case len(addresses)+len(blocks) > 1:
		var names []string
		for _, a := range addresses {
			names = append(names, a.Name)
		}
		return nil, usage("name one of them: "+strings.Join(names, ", "), "%s is bound in %d domains", arg, len(addresses))
	}
	if len(addresses) == 1 {
		a := addresses[0]
		v := releaseView{Kind: "IPAddress", Name: a.Name, Address: a.Address.String(), Domain: a.Domain, Reason: whyBound(s, a)}
		if v.Reason == "" || force {
			if err := ipam.ReleaseAddress(ctx, book, a); err != nil {
				return nil, err
			}
			v.Released = true
		}
		return []releaseView{v}, nil
	}
	b := blocks[0]
	v := releaseView{Kind: "IPBlock", Name: b.Name, Address: b.Prefix.String(), Domain: b.Domain, Reason: whyLeased(s, b)}
	if v.Reason == "" || force {
		if err := ipam.ReleaseBlock(ctx, book, b); err != nil {
			return nil, err
		}
		v.Released = true
	}
	return []releaseView{v}, nil
}

// named finds what an argument stands for.
func named(s *doctor.Snapshot, arg string) (addresses []ipam.Address, blocks []ipam.Block) {
	ip, _ := netip.ParseAddr(arg)
	prefix, _ := netip.ParsePrefix(arg)
	name := arg[strings.LastIndex(arg, "/")+1:] // also ipaddress/NAME
	for i := range s.Addresses {
		if a, err := ipam.AddressFrom(&s.Addresses[i]); err == nil && (a.Name == name || ip.IsValid() && a.Address == ip.Unmap()) {
			addresses = append(addresses, a)
		}
	}
	for i := range s.Blocks {
		if b, err := ipam.BlockFrom(&s.Blocks[i]); err == nil && (b.Name == name || prefix.IsValid() && b.Prefix == prefix.Masked()) && !ip.IsValid() {
			blocks = append(blocks, b)
		}
	}
	return addresses, blocks
}

// nothingNamed says what an address is instead.
func nothingNamed(s *doctor.Snapshot, arg string) error {
	ip, err := netip.ParseAddr(arg)
	if err != nil {
		return notFound("tsunagu address show IP, kubectl get ipaddresses,ipblocks", "there is no IPAddress or IPBlock %s", arg)
	}
	for _, h := range viewAddresses(s) {
		if h.Address == ip.Unmap() {
			return notFound("delete that Pod, its node gives the address back by itself", "no IPAddress binds %s: Pod %s/%s has it, %s", ip, h.Namespace, h.Pod, h.sentence())
		}
	}
	return notFound("there is nothing to release", "no IPAddress binds %s", ip)
}

// whyBound says why an address must not be released, or "".
func whyBound(s *doctor.Snapshot, a ipam.Address) string {
	for i := range s.Pods {
		p := &s.Pods[i]
		if doctor.Finished(p) {
			continue
		}
		if a.Owner.UID != "" && string(p.UID) == a.Owner.UID {
			return fmt.Sprintf("it is bound to interface %s of Pod %s/%s on node %s, which lives", a.Owner.IfName, p.Namespace, p.Name, p.Spec.NodeName)
		}
	}
	for _, h := range s.Holdings() {
		if h.Address == a.Address && h.Domain == a.Domain {
			return fmt.Sprintf("Pod %s/%s on node %s has it on interface %s", h.Pod.Namespace, h.Pod.Name, h.Pod.Spec.NodeName, h.Interface)
		}
	}
	if a.Claim.Name != "" {
		return fmt.Sprintf("it belongs to IPClaim %s/%s: delete the claim to give it up", a.Claim.Namespace, a.Claim.Name)
	}
	return ""
}

// whyLeased says why a block must not be released, or "".
func whyLeased(s *doctor.Snapshot, b ipam.Block) string {
	for _, n := range s.Nodes {
		if string(n.UID) == b.NodeUID {
			return fmt.Sprintf("node %s is in the cluster, and its agent gives addresses out of it; it gives the block back by itself when no Pod uses it", n.Name)
		}
	}
	for _, h := range s.Holdings() {
		if h.Domain == b.Domain && b.Prefix.Contains(h.Address) && h.Pod.Spec.NodeName == b.Node {
			return fmt.Sprintf("Pod %s/%s on node %s has %s of it", h.Pod.Namespace, h.Pod.Name, h.Pod.Spec.NodeName, h.Address)
		}
	}
	return ""
}

func printReleases(w io.Writer, t terminal, views []releaseView) {
	for _, v := range views {
		label := fmt.Sprintf("%s %s (%s, domain %s): ", v.Kind, v.Name, v.Address, v.Domain)
		switch {
		case v.Released && v.Reason == "":
			fmt.Fprint(w, wrap(label, "released", t.width()))
		case v.Released:
			fmt.Fprint(w, wrap(label, "released by force, although "+v.Reason, t.width()))
		default:
			fmt.Fprint(w, wrap(label, "not released: "+v.Reason+". --force releases it nevertheless", t.width()))
		}
	}
}

// addressReserve keeps an address from Pods.
func (a *app) addressReserve() *cobra.Command {
	var pool, domain, reason, owner, network string
	c := &cobra.Command{
		Use:   "reserve IP (--reason WORDS | --for NAMESPACE/NAME)",
		Short: "keeps an address from Pods, or for one",
		Long: `reserve binds an address to nobody, so that no Pod gets it; a Pod that asks for it by number is refused with the reason. It lasts until
tsunagu address release IP. An address that a Pod has cannot be reserved.

With --for it is kept for whoever names it: an IPClaim NAMESPACE/NAME is made that wants this address, and a Pod of the namespace has it by
"ipam-claim-reference": "NAME" in its network selection, on whatever node, one Pod at a time. It lasts until the IPClaim is deleted.`,
		Args: exactly(1, "an address"),
		RunE: func(c *cobra.Command, args []string) error {
			ip, err := netip.ParseAddr(args[0])
			if err != nil {
				return usage("give one address without prefix length, such as 192.168.10.7 or fd00:10::7", "%q is not an address", args[0])
			}
			if (owner != "" || network != "") && (reason != "" || owner == "") {
				return usage("--reason keeps it from everybody; --for NAMESPACE/NAME, with --network if need be, keeps it for one", "--for, --network and --reason do not go together so")
			}
			if owner == "" && (reason == "" || len(reason) > 256) {
				return usage(`such as --reason "printer on floor 3"`, "--reason is missing or longer than 256 characters: it is what people read who are refused the address")
			}
			s, _, err := a.cluster.snapshot(c.Context(), a.terminal, addressParts...)
			if err != nil {
				return err
			}
			if err := complete(s, addressParts); err != nil {
				return err
			}
			want := ipam.Address{Address: ip.Unmap(), Reserved: reason}
			if want.Domain, want.Pool, err = whereIs(s, want.Address, pool, domain); err != nil {
				return err
			}
			for _, h := range s.Holdings() {
				if h.Address == want.Address && h.Domain == want.Domain {
					return &problem{exitFailed, fmt.Errorf("reserve %s in domain %s: Pod %s/%s on node %s has it", ip, want.Domain, h.Pod.Namespace, h.Pod.Name, h.Pod.Spec.NodeName),
						"reserve another address, or delete that Pod first"}
				}
			}
			if owner != "" {
				return a.reserveFor(c.Context(), s, want, owner, network)
			}
			return a.reserve(c.Context(), want)
		},
	}
	c.Flags().StringVar(&pool, "pool", "", "the IPPool that the address is of")
	c.Flags().StringVar(&domain, "domain", "", "the address domain, if no IPPool has the address")
	c.Flags().StringVar(&reason, "reason", "", "why, in words for those who are refused the address")
	c.Flags().StringVar(&owner, "for", "", "NAMESPACE/NAME of an IPClaim to be made, by which a Pod has the address")
	c.Flags().StringVar(&network, "network", "", "with --for: the definition (namespace/name, or a name of the claim's namespace), if the address is of several")
	_ = c.RegisterFlagCompletionFunc("pool", a.complete(func(s *doctor.Snapshot) []string {
		var names []string
		for _, p := range s.Pools {
			names = append(names, p.Name)
		}
		return names
	}, doctor.Pools))
	return c
}

func (a *app) reserve(ctx context.Context, want ipam.Address) error {
	book, err := a.cluster.ledger()
	if err != nil {
		return err
	}
	p := a.watch("asking the node that leases the address")
	got, _, err := ipam.Keep(ctx, book, want)
	p.end()
	if err != nil {
		return &problem{exitFailed, fmt.Errorf("reserve %s in domain %s: %w", want.Address, want.Domain, err), ""}
	}
	v := releaseView{Kind: "IPAddress", Name: got.Name, Address: got.Address.String(), Domain: got.Domain, Reason: got.Reserved}
	return a.show(a.format, v, func(w io.Writer) {
		fmt.Fprint(w, wrap("", fmt.Sprintf("%s is reserved in domain %s by IPAddress %s: %s", v.Address, v.Domain, v.Name, v.Reason), a.width()))
	})
}

// whereIs finds the domain that an address is meant in.
func whereIs(s *doctor.Snapshot, ip netip.Addr, pool, domain string) (string, string, error) {
	found := map[string]string{} // pool by domain
	for _, o := range s.Pools {
		p, err := ipam.ParsePool(o)
		if err != nil || pool != "" && p.Name != pool || domain != "" && p.Domain != domain || !p.Prefix.Contains(ip) {
			continue
		}
		found[p.Domain] = p.Name
	}
	domains := sortedKeys(found)
	switch {
	case len(domains) == 1:
		return domains[0], found[domains[0]], nil
	case pool != "" && indexPool(s.Pools, pool) < 0:
		return "", "", notFound("kubectl get ippools lists them", "there is no IPPool %s", pool)
	case pool != "":
		return "", "", usage("tsunagu address show IP names the pools of an address", "%s is not of the subnet of IPPool %s", ip, pool)
	case domain != "":
		return domain, "", nil
	case len(domains) > 1:
		return "", "", usage("--pool or --domain says which", "%s is of IPPools in the domains %s", ip, strings.Join(domains, ", "))
	}
	return "", "", usage("--domain default is that of definitions without network_name", "no IPPool has %s, so its domain is not known", ip)
}

func indexPool(pools []v1alpha1.IPPool, name string) int {
	for i, p := range pools {
		if p.Name == name {
			return i
		}
	}
	return -1
}
