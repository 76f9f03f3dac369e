package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// claimView is what `address reserve --for -o json` prints.
type claimView struct {
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Network   string     `json:"network"`
	Address   netip.Addr `json:"address"`
	Domain    string     `json:"domain"`
	Pool      string     `json:"pool,omitempty"`
}

// reserveFor makes a claim that wants the address. The controller binds it
// before any Pod asks.
func (a *app) reserveFor(ctx context.Context, s *doctor.Snapshot, want ipam.Address, owner, network string) error {
	namespace, name, ok := strings.Cut(owner, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return usage("such as --for shop/vm-a", "--for %q is not NAMESPACE/NAME", owner)
	}
	network, err := networkFor(s, want, namespace, network)
	if err != nil {
		return err
	}
	for i := range s.Addresses {
		x, err := ipam.AddressFrom(&s.Addresses[i])
		if err == nil && x.Domain == want.Domain && x.Address == want.Address && (x.Claim.Namespace != namespace || x.Claim.Name != name) {
			return &problem{exitFailed, fmt.Errorf("reserve %s for %s: IPAddress %s binds it already", want.Address, owner, x.Name), "tsunagu address show " + want.Address.String()}
		}
	}
	book, err := a.cluster.ledger()
	if err != nil {
		return err
	}
	claim := ipam.Claim{Meta: ipam.Meta{Name: name}, Namespace: namespace, Network: network, Wants: []netip.Addr{want.Address}}
	if _, err := book.CreateClaim(ctx, claim); errors.Is(err, ipam.ErrExists) {
		old, err := book.GetClaim(ctx, namespace, name)
		if err != nil {
			return &problem{exitFailed, err, ""}
		}
		if old.Network != network || !slices.Contains(old.Wants, want.Address) {
			return &problem{exitFailed, fmt.Errorf("reserve %s for %s: IPClaim %s is there already, for network %s and other addresses", want.Address, owner, owner, old.Network),
				"choose another name, or add the address to its spec.addresses"}
		}
	} else if err != nil {
		return &problem{exitFailed, fmt.Errorf("reserve %s for %s: %w", want.Address, owner, err), ""}
	}
	v := claimView{Namespace: namespace, Name: name, Network: network, Address: want.Address, Domain: want.Domain, Pool: want.Pool}
	return a.show(a.format, v, func(w io.Writer) {
		fmt.Fprint(w, wrap("", fmt.Sprintf(`%s is kept by IPClaim %s, and the controller binds it (kubectl -n %s get ipclaim %s). A Pod of the namespace has it by {"name": %q, "namespace": %q, "ipam-claim-reference": %q} in its annotation k8s.v1.cni.cncf.io/networks`,
			v.Address, owner, namespace, name, v.Network[strings.Index(v.Network, "/")+1:], v.Network[:strings.Index(v.Network, "/")], name), a.width()))
	})
}

// networkFor finds the definition that a claim for an address is for.
func networkFor(s *doctor.Snapshot, want ipam.Address, namespace, network string) (string, error) {
	if network != "" && !strings.Contains(network, "/") {
		network = namespace + "/" + network
	}
	var fit, near []string
	for _, d := range s.Definitions {
		ref := d.Namespace + "/" + d.Name
		if domain, managed := s.Domain(ref); !managed || domain != want.Domain {
			if ref == network {
				return "", usage("tsunagu address show "+want.Address.String()+" names its domains", "network %s gives out no addresses of domain %s", network, want.Domain)
			}
			continue
		}
		if fit = append(fit, ref); d.Namespace == namespace {
			near = append(near, ref)
		}
	}
	if network != "" {
		if slices.Contains(fit, network) {
			return network, nil
		}
		return "", notFound("kubectl get net-attach-def -A lists them", "there is no NetworkAttachmentDefinition %s", network)
	}
	if len(near) > 0 {
		fit = near // Pods may be limited to those of their own namespace
	}
	switch len(fit) {
	case 0:
		return "", notFound("make the NetworkAttachmentDefinition or Network first", "no NetworkAttachmentDefinition gives out addresses of domain %s", want.Domain)
	case 1:
		return fit[0], nil
	}
	return "", usage("--network says which", "%s may be of the networks %s", want.Address, strings.Join(fit, ", "))
}
