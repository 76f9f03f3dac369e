package attach

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/near"
)

// Claims finds IPClaims by their namespace.
type Claims interface {
	// ClaimNames lists what is there now, to find near names.
	ClaimNames(ctx context.Context, namespace string) ([]string, error)
}

// claim says whose the interface's addresses are: those of the IPClaim that the selection names; else, for a Pod of a StatefulSet, of
// one that is made for this interface of the Pod of this name, if the pools say so.
func (p *planned) claim(pod Pod) error {
	c := ipam.Claiming{Namespace: pod.Namespace, Name: p.sel.Claim, MAC: p.mac(), Migrates: pod.Migrates && p.sel.Claim != ""}
	sticky := func(pool ipam.Pool) bool { return !pool.Local }
	if c.Name == "" {
		if pod.Owner.Kind != "StatefulSet" || !strings.HasPrefix(pod.Owner.APIVersion, "apps/") {
			return nil
		}
		sticky = func(pool ipam.Pool) bool { return !pool.Local && !pool.OnlyClaimed }
		made := p.ownClaim(pod)
		c.Name, c.Make = made.Name, &made
	}
	any := p.leased() // the server knows the claim by its name
	for i := range p.wants {
		if sticky(p.wants[i].Pool) {
			p.wants[i].Claim, any = &c, true
		}
	}
	if !any && p.sel.Claim != "" {
		return refusef(ReasonUnsupportedField, `remove "ipam-claim-reference", or give the network an IPPool or a range`,
			"IPClaim %s is named, and network %s has no pool whose addresses could be kept", p.sel.Claim, p.net.Ref)
	}
	return nil
}

// ownClaim is the claim of an interface of a StatefulSet's Pod. It goes with the StatefulSet, unless the pool keeps it for ever.
func (p *planned) ownClaim(pod Pod) ipam.Claim {
	made := ipam.Claim{
		Meta: ipam.Meta{Name: claimName(pod.Name, p.net.Ref, p.sel.IfName)}, Namespace: pod.Namespace, Made: true,
		Network: p.net.Ref, Interface: p.sel.IfName, Pod: pod.Name,
	}
	for _, w := range p.wants {
		if made.Retention == "" {
			made.Retention = w.Pool.Retention
		}
	}
	if made.Retention != v1alpha1.RetainForever {
		made.Holder = ipam.Holder{APIVersion: pod.Owner.APIVersion, Kind: pod.Owner.Kind, Name: pod.Owner.Name, UID: pod.Owner.UID}
	}
	return made
}

// mac is the hardware address that was asked for.
func (p *planned) mac() net.HardwareAddr {
	if len(p.sel.MAC) > 0 {
		return p.sel.MAC
	}
	return p.net.MAC
}

// claimName names the claim of an interface of a Pod: POD-NETWORK-INTERFACE-HASH. The hash tells apart what would else read the same;
// each part is cut so that all of it is a name that a label can have.
func claimName(pod, network, ifName string) string {
	sum := sha256.Sum256([]byte(pod + "|" + network + "|" + ifName))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:10]
	_, name, _ := strings.Cut(network, "/")
	return readable(pod, 22) + "-" + readable(name, 16) + "-" + readable(ifName, 12) + "-" + hash
}

// readable is at most n characters of a text that a label may have, the first and the last a letter or digit.
func readable(text string, n int) string {
	text = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(text))
	if text = strings.Trim(text[:min(len(text), n)], "-"); text == "" {
		return "x"
	}
	return text
}

// unknownClaim adds the names that may have been meant.
func (s *Server) unknownClaim(ctx context.Context, p *planned, err error) error {
	names, listErr := s.Claims.ClaimNames(ctx, p.wants[0].Claim.Namespace)
	if listErr != nil {
		return err
	}
	r := *refused(err)
	if meant := near.Names(p.sel.Claim, names); len(meant) > 0 {
		r.Message += fmt.Sprintf("; near names: %s", joined(meant))
	}
	return &r
}
