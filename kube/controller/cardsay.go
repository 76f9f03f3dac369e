package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/node/plan"
	"github.com/tsunagu-net/tsunagu/node/vsphere"
)

// say writes the condition of each Network of a port group, and keeps the words
// for Pods that wait.
func (r *cards) say(ctx context.Context, s scene, bad error) error {
	words, doing, errs := map[string]string{}, s.coming(), []error(nil)
	for i := range s.networks {
		n := &s.networks[i]
		err := bad
		if err == nil {
			err = r.groups[n.Name].err
		}
		words[n.Name] = r.wording(s, n.Name, err)
		errs = append(errs, r.condition(ctx, n, s, err))
	}
	r.mu.Lock()
	r.words, r.doing = words, doing
	r.mu.Unlock()
	return errors.Join(errs...)
}

// coming are the Networks of cards that nodes are given, or were and have not found the network behind yet.
func (s scene) coming() map[string]bool {
	all := map[string]bool{}
	for _, n := range s.world.Nodes {
		for _, c := range n.Cards {
			if !c.Leaving && !n.Has[c.Network] {
				all[c.Network] = true
			}
		}
	}
	return all
}

// wording says what is being done to bring a Network to a node.
func (r *cards) wording(s scene, network string, bad error) string {
	if bad != nil {
		return bad.Error()
	}
	var all []string
	for name, step := range r.busy {
		if step.Network == network && step.Do == plan.Give {
			all = append(all, fmt.Sprintf("node %s is being given a network card", name))
		}
	}
	for _, n := range s.world.Nodes {
		for _, c := range n.Cards {
			if c.Network == network && c.MAC != "" && !c.Leaving && !n.Has[network] {
				all = append(all, fmt.Sprintf("node %s was given card %s and has not found the network behind it yet", n.Name, c.MAC))
			}
		}
	}
	if text := r.trouble(network); text != "" {
		all = append(all, text)
	}
	slices.Sort(all)
	return few(all)
}

// few is the beginning of a list.
func few(all []string) string {
	const most = 3
	text := strings.Join(all[:min(most, len(all))], "; ")
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

func (r *cards) condition(ctx context.Context, n *v1alpha1.Network, s scene, bad error) error {
	c := metav1.Condition{Type: v1alpha1.ConditionPortGroup, Status: metav1.ConditionTrue, Reason: "Usable", ObservedGeneration: n.Generation}
	_, looked := r.groups[n.Name]
	trouble := r.trouble(n.Name)
	switch {
	case bad != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonOf(bad), bad.Error()
	case !looked || r.busy["port group of "+n.Name].Do == lookAtGroup && meta.FindStatusCondition(n.Status.Conditions, c.Type) == nil:
		return nil // not known yet
	case trouble != "" && !slices.ContainsFunc(s.world.Nodes, func(o plan.Node) bool { return o.Has[n.Name] }):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, ReasonCardFailed, trouble
	default:
		c.Message = fmt.Sprintf("nodes can be given a card on port group %s; these have one: %s", n.Spec.Reach.PortGroup.Name, s.with(n.Name))
		if trouble != "" {
			c.Message += "; not so " + trouble
		}
	}
	next := n.DeepCopy()
	if !meta.SetStatusCondition(&next.Status.Conditions, c) {
		return nil
	}
	old := meta.FindStatusCondition(n.Status.Conditions, c.Type)
	err := r.Status().Patch(ctx, next, client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil // it is said in the next round
		}
		return fmt.Errorf("write the status of Network %s: %w", n.Name, err)
	}
	if old == nil && c.Status == metav1.ConditionTrue || old != nil && old.Status == c.Status && old.Reason == c.Reason {
		return nil
	}
	kind := corev1.EventTypeNormal
	if c.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	r.events.Eventf(n, nil, kind, c.Reason, "Attach", "%s", c.Message)
	return nil
}

// trouble is what failed on nodes for a Network.
func (r *cards) trouble(network string) string {
	var all []string
	for node, text := range r.planner.Trouble(network) {
		all = append(all, node+": "+text)
	}
	slices.Sort(all)
	return few(all)
}

// with are the nodes that have a card of a Network.
func (s scene) with(network string) string {
	var all []string
	for _, n := range s.world.Nodes {
		if slices.ContainsFunc(n.Cards, func(c plan.Card) bool { return c.Network == network }) {
			all = append(all, n.Name)
		}
	}
	if len(all) == 0 {
		return "none"
	}
	const most = 10
	if more := len(all) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), more)
	}
	return strings.Join(all, ", ")
}

// reasonOf is the word of a condition.
func reasonOf(err error) string {
	if r := vsphere.ReasonOf(err); r != "" {
		return string(r)
	}
	return ReasonCardFailed
}
