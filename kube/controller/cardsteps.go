package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/node/plan"
	"github.com/tsunagu-net/tsunagu/node/vsphere"
)

// begin carries out a step.
func (r *cards) begin(ctx context.Context, center *vsphere.Center, s scene, step plan.Step) {
	network, known := s.network(step.Network)
	machine := s.machine(step.Node)
	do := map[plan.Verb]func(context.Context) (string, error){
		plan.Give: func(ctx context.Context) (string, error) {
			if !known {
				return "", fmt.Errorf("network %s is gone", step.Network)
			}
			return r.give(ctx, center, &network, step, machine, s.pods[step.For])
		},
		plan.Leave: func(ctx context.Context) (string, error) {
			return fmt.Sprintf("network %s: the card of node %s leaves, no Pod uses it", step.Network, step.Node), r.mark(ctx, step, true)
		},
		plan.Stay: func(ctx context.Context) (string, error) {
			return fmt.Sprintf("network %s: the card of node %s stays, a Pod needs it", step.Network, step.Node), r.mark(ctx, step, false)
		},
		plan.Take: func(ctx context.Context) (string, error) { return r.take(ctx, center, step, machine) },
	}[step.Do]
	if p := s.pods[step.For]; step.Do == plan.Give && p != nil {
		r.events.Eventf(p, nil, corev1.EventTypeNormal, ReasonCardAdding, "Scheduling", "network %s: node %s is given a network card on port group %s", step.Network, step.Node, network.Spec.Reach.PortGroup.Name)
	}
	r.run(ctx, step.Node, step, func(ctx context.Context) (o outcome) {
		o.text, o.err = do(ctx)
		return o
	})
}

// passes tells whether a failure may heal by itself.
func passes(err error) bool {
	var r *vsphere.Refusal
	return !errors.As(err, &r) || r.Passes()
}

// usable tells whether nodes can be given cards on a Network's port group.
func usable(ctx context.Context, center *vsphere.Center, n *v1alpha1.Network) error {
	g, err := center.PortGroup(ctx, n.Spec.Reach.PortGroup.Name)
	if err != nil {
		return err
	}
	return g.Policy.Allows(g.Name)
}

// give adds a card to a node's machine, or finds the one that is there, and
// writes it down. Whoever does it again after a crash at any point finds the
// same card.
func (r *cards) give(ctx context.Context, center *vsphere.Center, n *v1alpha1.Network, step plan.Step, id string, pod *corev1.Pod) (string, error) {
	if pod != nil {
		if err := r.room(ctx, step.Node, pod); err != nil {
			return "", err
		}
	}
	named := n.Spec.Reach.PortGroup.Name
	group, err := center.PortGroup(ctx, named)
	if err != nil {
		return "", err
	}
	if err := group.Policy.Allows(group.Name); err != nil {
		return "", err
	}
	machine, err := center.Machine(ctx, id)
	if err != nil {
		return "", err
	}
	owner := r.owner + n.Name
	nic, kept := before(machine, group, owner, n.Spec.Attachment.Kind)
	if !kept {
		if nic, err = center.Attach(ctx, machine.ID, group, owner); err != nil {
			return "", err
		}
	}
	if len(nic.MAC) == 0 {
		return "", &vsphere.Refusal{Reason: vsphere.Busy, Message: "the new card of machine " + machine.Name + " has no MAC yet", Fix: "it is tried again"}
	}
	card := v1alpha1.NodeCard{Network: n.Name, MAC: nic.MAC.String(), PortGroup: named, Kept: kept}
	err = r.write(ctx, step.Node, func(spec *v1alpha1.NodeNetworkSpec) {
		spec.Cards = slices.DeleteFunc(spec.Cards, func(c v1alpha1.NodeCard) bool { return c.Network == n.Name })
		spec.Cards = append(spec.Cards, card)
	})
	what := "was given card"
	if kept {
		what = "uses its own card"
	}
	return fmt.Sprintf("network %s: node %s (machine %s) %s %s on port group %s", n.Name, step.Node, machine.Name, what, nic.MAC, group.Name), err
}

// before finds a card that the machine had on the port group already: it is
// used and never taken away. A bridge would take it from the node, so it gets
// a card of its own; on NSX, where cards bear no tag of ours, it does not.
func before(m vsphere.Machine, g vsphere.PortGroup, owner, kind string) (vsphere.NIC, bool) {
	if _, ours := m.Owned(owner); ours || kind == "bridge" && g.Kind != vsphere.NSX {
		return vsphere.NIC{}, false
	}
	for _, c := range m.NICs {
		if c.PortGroup == g.ID && c.Connected && !strings.HasPrefix(c.Owner, vsphere.Tag) {
			return c, true
		}
	}
	return vsphere.NIC{}, false
}

// mark says that a card leaves, or that it stays.
func (r *cards) mark(ctx context.Context, step plan.Step, leaving bool) error {
	return r.write(ctx, step.Node, func(spec *v1alpha1.NodeNetworkSpec) {
		for i := range spec.Cards {
			if spec.Cards[i].Network == step.Network {
				spec.Cards[i].Leaving = leaving
			}
		}
	})
}

// take removes a card that leaves, unless a Pod came in the meantime, and then
// what is written of it.
func (r *cards) take(ctx context.Context, center *vsphere.Center, step plan.Step, id string) (string, error) {
	pods, err := r.using(ctx, step.Node)
	if err != nil {
		return "", err
	}
	if pods[step.Network] > 0 {
		return "", r.mark(ctx, step, false)
	}
	var has v1alpha1.NodeNetwork
	if err := r.live.Get(ctx, client.ObjectKey{Name: step.Node}, &has); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	i := slices.IndexFunc(has.Spec.Cards, func(c v1alpha1.NodeCard) bool { return c.Network == step.Network })
	if i < 0 || !has.Spec.Cards[i].Leaving {
		return "", nil
	}
	card := has.Spec.Cards[i]
	machine, err := center.Machine(ctx, id)
	if err != nil {
		return "", err
	}
	if nic, ours := r.ours(machine, card); ours && !card.Kept {
		if err := center.Detach(ctx, machine.ID, nic); err != nil {
			return "", err
		}
	}
	err = r.write(ctx, step.Node, func(spec *v1alpha1.NodeNetworkSpec) {
		spec.Cards = slices.DeleteFunc(spec.Cards, func(c v1alpha1.NodeCard) bool { return c == card })
	})
	return fmt.Sprintf("network %s: card %s of node %s (machine %s) was taken away", step.Network, card.MAC, step.Node, machine.Name), err
}

// ours finds the card that is written down. Where the tag is NSX's, its MAC is
// what tells that it is ours.
func (r *cards) ours(m vsphere.Machine, card v1alpha1.NodeCard) (vsphere.NIC, bool) {
	mac, err := net.ParseMAC(card.MAC)
	if err != nil {
		return vsphere.NIC{}, false
	}
	for _, n := range m.NICs {
		if !bytes.Equal(n.MAC, mac) {
			continue
		}
		if n.Owner != r.owner+card.Network {
			if strings.HasPrefix(n.Owner, vsphere.Tag) {
				return vsphere.NIC{}, false
			}
			n.Owner = ""
		}
		return n, true
	}
	return vsphere.NIC{}, false
}

// write changes what is written of a node's cards, at the version that was
// read.
func (r *cards) write(ctx context.Context, node string, change func(*v1alpha1.NodeNetworkSpec)) error {
	for {
		var has v1alpha1.NodeNetwork
		if err := r.live.Get(ctx, client.ObjectKey{Name: node}, &has); err != nil {
			return fmt.Errorf("read NodeNetwork %s: %w", node, err)
		}
		change(&has.Spec)
		err := r.Update(ctx, &has)
		if !apierrors.IsConflict(err) {
			if err != nil {
				err = fmt.Errorf("write the cards of NodeNetwork %s: %w", node, err)
			}
			return err
		}
	}
}

// using counts the Pods of a node by the Networks that they need.
func (r *cards) using(ctx context.Context, node string) (map[string]int, error) {
	pods, err := r.on(ctx, node)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, p := range pods {
		annotation := p.Annotations[attach.SelectionAnnotation]
		if annotation == "" {
			continue
		}
		networks, err := r.needs(ctx, annotation, p.Namespace)
		if err != nil {
			continue // no agent attaches what cannot be read
		}
		for _, n := range networks {
			count[n]++
		}
	}
	return count, nil
}

// on are the Pods of a node that have not ended, as the API server knows them.
func (r *cards) on(ctx context.Context, node string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := r.live.List(ctx, &pods, client.MatchingFields{"spec.nodeName": node}); err != nil {
		return nil, fmt.Errorf("list the Pods of node %s: %w", node, err)
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	}), nil
}

// room says what a node lacks for a Pod.
func (r *cards) room(ctx context.Context, name string, pod *corev1.Pod) error {
	var node corev1.Node
	if err := r.live.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return fmt.Errorf("read Node %s: %w", name, err)
	}
	pods, err := r.on(ctx, name)
	if err != nil {
		return err
	}
	free := node.Status.Allocatable.DeepCopy()
	take := func(p *corev1.Pod) {
		for what, amount := range podresource.PodRequests(p, podresource.PodResourcesOptions{}) {
			left := free[what]
			left.Sub(amount)
			free[what] = left
		}
		left := free[corev1.ResourcePods]
		left.Sub(*resource.NewQuantity(1, resource.DecimalSI))
		free[corev1.ResourcePods] = left
	}
	for i := range pods {
		take(&pods[i])
	}
	take(pod)
	wants := podresource.PodRequests(pod, podresource.PodResourcesOptions{})
	wants[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	for what := range wants {
		if left := free[what]; left.Sign() < 0 {
			return fmt.Errorf("node %s has no room for Pod %s/%s: too little %s", name, pod.Namespace, pod.Name, what)
		}
	}
	return nil
}

// unwritten finds the cards of ours that a machine has and nobody wrote down: a
// controller ended between the two.
func (r *cards) unwritten(ctx context.Context, center *vsphere.Center, n plan.Node, id string) ([]string, error) {
	machine, err := center.Machine(ctx, id)
	if vsphere.ReasonOf(err) == vsphere.NoMachine {
		return nil, nil // no machine of this vCenter
	}
	if err != nil {
		return nil, err
	}
	var loose []string
	for _, nic := range machine.NICs {
		network, ours := strings.CutPrefix(nic.Owner, r.owner)
		if ours && !slices.ContainsFunc(n.Cards, func(c plan.Card) bool { return c.Network == network }) {
			loose = append(loose, network)
		}
	}
	return loose, nil
}
