package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/near"
)

// Reviewer judges what Pods ask for before they are on a node, by the same steps as their ADD and in the same words. It changes nothing.
type Reviewer struct {
	Definitions Definitions
	Pools       Pools
	Namespaces  Namespaces
}

// Reviewed is what can be said of one element of a Pod's annotation.
type Reviewed struct {
	Selection Selection
	// Wants are the addresses that the interface needs.
	Wants []ipam.Want
	// Refusal is nil as far as can be told without a node.
	Refusal *Refusal
}

// Pod judges each element of a Pod's annotation. One that cannot be read is the only answer, without a Selection. What could not be found
// out because the API server did not answer counts as fine.
func (r Reviewer) Pod(ctx context.Context, pod Pod) []Reviewed {
	selections, err := ParseSelections(pod.Networks, pod.Namespace)
	if err != nil {
		return []Reviewed{{Refusal: refused(err)}}
	}
	all := make([]Reviewed, 0, len(selections))
	for _, s := range selections {
		all = append(all, r.selection(ctx, pod, s))
	}
	return all
}

// Claim judges what an IPClaim of a namespace wants of a network, written as namespace/name or name alone.
func (r Reviewer) Claim(ctx context.Context, namespace, network string, addresses []netip.Addr) Reviewed {
	s := Selection{Namespace: namespace, Name: network}
	if ns, name, ok := strings.Cut(network, "/"); ok {
		s.Namespace, s.Name = ns, name
	}
	for _, a := range addresses {
		s.IPs = append(s.IPs, RequestedIP{Addr: a, Bits: -1})
	}
	return r.selection(ctx, Pod{Namespace: namespace}, s)
}

func (r Reviewer) selection(ctx context.Context, pod Pod, s Selection) Reviewed {
	one, err := planner{definitions: r.Definitions, pools: r.Pools, namespaces: r.Namespaces}.resolve(ctx, pod, s, &handout{pod: pod})
	reviewed := Reviewed{Selection: s, Wants: one.wants}
	if err == nil || errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return reviewed
	}
	if s.IfName != "" {
		err = fmt.Errorf("%s: %w", s.where(), err)
	}
	reviewed.Refusal = refused(err)
	return reviewed
}

// Definition judges a definition. The answer is nil when it is fine, or when its interface is made by a plugin that is not built in: then
// it is not ours to judge. warnings name what is passed over in a definition that works.
func (r Reviewer) Definition(ctx context.Context, d Definition) (n Network, warnings []string, refusal *Refusal) {
	if plugins, err := readChain(d); err == nil && plugins[0].Type != (kind.Pod{}).Type() && plugins[0].Type != "" && (d.Binaries || !kind.Known(plugins[0].Type)) {
		return n, nil, nil
	}
	n, err := ParseDefinition(d)
	if err != nil {
		return n, nil, refused(err)
	}
	for _, w := range n.Spec.Warnings() {
		warnings = append(warnings, fmt.Sprintf("network-attachment-definition %s: %s", d, w))
	}
	if n.Giver != nil {
		if meant := near.Names(n.Giver.Type, ipam.Types()); len(meant) > 0 {
			warnings = append(warnings, fmt.Sprintf("network-attachment-definition %s: ipam.type %q is not built in, and a plugin of that name is executed; near names: %s", d, n.Giver.Type, joined(meant)))
		}
	}
	for _, names := range n.IPAM.PoolNames {
		if _, err := poolSet(ctx, n, names, r.Pools); err != nil && !errors.Is(err, ErrUnavailable) {
			return n, warnings, refused(err)
		}
	}
	return n, warnings, nil
}

// Note is the refusal as people read it: what is wrong, and the fix.
func (r *Refusal) Note() string { return r.note() }

// Refused finds the Refusal in an error of this room or of those below it, or makes one.
func Refused(err error) *Refusal { return refused(err) }
