package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// sweepEvery is how often garbage is looked for.
const sweepEvery = 10 * time.Second

// garbage releases the blocks and addresses of nodes that are gone
// (research/ipam.md 6.5, I6) and regions that nobody needs (I2).
type garbage struct {
	client.Client               // reads are from the cache: hints only
	live          client.Reader // reads are not: evidence
	graves        *graveyard
	events        events.EventRecorder
	log           *slog.Logger
	said          map[ownerID]string
	idle          map[types.UID]time.Time // regions, since when nobody needs them
	marked        map[string]bool         // blocks that were put in quarantine
	forever       map[ownerID]bool        // lost nodes whose addresses are kept until somebody gives them up
}

// Start sweeps until ctx ends.
func (g *garbage) Start(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := g.sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			g.log.Error("sweep", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// NeedLeaderElection makes the manager run one sweeper only.
func (g *garbage) NeedLeaderElection() bool { return true }

func (g *garbage) sweep(ctx context.Context, now time.Time) error {
	lost, err := g.lost(ctx)
	if err != nil {
		return err
	}
	owners := map[ownerID]bool{}
	var errs []error
	for owner, objects := range lost {
		owners[owner] = true
		errs = append(errs, g.bury(ctx, owner, objects, now))
	}
	g.graves.keep(owners)
	g.unmark(lost)
	for o := range g.said {
		if !owners[o] {
			delete(g.said, o)
		}
	}
	return errors.Join(append(errs, g.sweepRegions(ctx, now), g.sweepQuarantines(ctx, now))...)
}

// lost returns the objects whose owner is not among the nodes in the cache, or
// is out of service, as far as their policies let them go.
func (g *garbage) lost(ctx context.Context) (map[ownerID][]client.Object, error) {
	var nodes metav1.PartialObjectMetadataList
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := g.List(ctx, &nodes); err != nil {
		return nil, err
	}
	alive := map[string]bool{}
	for _, n := range nodes.Items {
		alive[string(n.UID)] = true
	}
	var pools v1alpha1.IPPoolList
	if err := g.List(ctx, &pools, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	policies := newLossPolicies(pools.Items)
	down, err := g.outOfService(ctx, policies)
	if err != nil {
		return nil, err
	}
	lost := map[ownerID][]client.Object{}
	add := func(o ownerID, object client.Object) {
		if o.UID == "" || alive[o.UID] && !down[o.UID] {
			return // one without an owner waits for its claim, or is kept from everybody
		}
		switch policy := policies.of(object); {
		case policy == v1alpha1.Never:
			g.keepForever(o)
		case !alive[o.UID] || policy == v1alpha1.OutOfService:
			lost[o] = append(lost[o], object)
		}
	}
	var blocks v1alpha1.IPBlockList
	if err := g.List(ctx, &blocks); err != nil {
		return nil, err
	}
	for i, b := range blocks.Items {
		add(ownerID{b.Spec.Owner.Node, b.Spec.Owner.NodeUID}, &blocks.Items[i])
	}
	var addresses v1alpha1.IPAddressList
	if err := g.List(ctx, &addresses); err != nil {
		return nil, err
	}
	for i, a := range addresses.Items {
		add(ownerID{a.Spec.Owner.Node, a.Spec.Owner.NodeUID}, &addresses.Items[i])
		if in := a.Spec.Incoming; in.NodeUID != a.Spec.Owner.NodeUID {
			add(ownerID{in.Node, in.NodeUID}, &addresses.Items[i])
		}
	}
	return lost, nil
}

// bury looks at one lost node and releases its objects when its time has come.
func (g *garbage) bury(ctx context.Context, owner ownerID, objects []client.Object, now time.Time) error {
	e, err := g.evidence(ctx, owner)
	if err != nil {
		return fmt.Errorf("look for node %s (UID %s): %w", owner.Name, owner.UID, err)
	}
	if gone, _ := e.gone(owner); gone {
		objecting, err := g.quarantine(ctx, objects)
		if err != nil {
			return fmt.Errorf("put the blocks of lost node %s in quarantine: %w", owner.Name, err)
		}
		if len(objecting) > 0 {
			e.Running = objecting[0]
		}
	}
	release, why := g.graves.look(owner, e, now)
	if !release {
		g.report(owner, len(objects), why)
		return nil
	}
	var errs []error
	for _, o := range objects {
		if b, ok := o.(*v1alpha1.IPBlock); ok && e.OutOfService && b.Spec.State != v1alpha1.BlockQuarantined {
			continue // its agent, if it runs, has not had the time to object
		}
		switch err := g.release(ctx, owner, o); {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // changed since: the next sweep looks again
		case err != nil:
			errs = append(errs, fmt.Errorf("release %s of lost node %s: %w", title(o), owner.Name, err))
		default:
			g.log.Info("released, its node is gone", "object", title(o), "node", owner.Name, "nodeUID", owner.UID, "quarantine", g.graves.quarantine.String())
			g.events.Eventf(o, nil, corev1.EventTypeNormal, "Released", "Release", "node %s (UID %s) is %s, has no Pods left, and the quarantine of %s is over", owner.Name, owner.UID, e.how(), g.graves.quarantine)
		}
	}
	return errors.Join(errs...)
}

// release deletes an object, if it is as it was read. An address that belongs
// to a claim stays, without an owner, or with the interface that it was about
// to move to.
func (g *garbage) release(ctx context.Context, owner ownerID, o client.Object) error {
	if a, ok := o.(*v1alpha1.IPAddress); ok && a.Spec.Claim.UID != "" {
		read, err := ipam.AddressFrom(a)
		if err != nil {
			return err
		}
		next := a.DeepCopy()
		left := read.WithoutNode(owner.UID).Object()
		next.Spec.Owner, next.Spec.Incoming = left.Spec.Owner, left.Spec.Incoming
		if next.Labels == nil { // somebody has taken them off
			next.Labels = map[string]string{}
		}
		delete(next.Labels, v1alpha1.NodeLabel)
		if uid := next.Spec.Owner.NodeUID; uid != "" {
			next.Labels[v1alpha1.NodeLabel] = uid
		}
		return g.Update(ctx, next)
	}
	uid, version := o.GetUID(), o.GetResourceVersion()
	return g.Delete(ctx, o, client.Preconditions{UID: &uid, ResourceVersion: &version})
}

// evidence reads live whether anything of a node is left.
func (g *garbage) evidence(ctx context.Context, owner ownerID) (evidence, error) {
	var e evidence
	var node corev1.Node
	err := g.live.Get(ctx, client.ObjectKey{Name: owner.Name}, &node)
	if err != nil && !apierrors.IsNotFound(err) {
		return e, err
	}
	if err == nil {
		e.NodeUID = string(node.UID)
		if e.OutOfService = e.NodeUID == owner.UID && outOfService(&node); e.NodeUID == owner.UID && !e.OutOfService {
			return e, nil
		}
	}
	// Past the cache and without a resource version: a quorum read.
	var pods corev1.PodList
	if err := g.live.List(ctx, &pods, client.MatchingFields{"spec.nodeName": owner.Name}); err != nil {
		return e, err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; mayBeOf(p, &node, e) {
			e.Pods = append(e.Pods, p.Namespace+"/"+p.Name)
		}
	}
	slices.Sort(e.Pods)
	return e, nil
}

// mayBeOf tells whether a Pod may be one that the lost node ran. Without a
// successor every Pod of the name is, and all of a node that is out of service. A successor's own Pods were created after
// it, both times by the API server's clock, which counts seconds; Pods on the
// host's network never had an address of ours.
func mayBeOf(p *corev1.Pod, node *corev1.Node, e evidence) bool {
	switch {
	case e.NodeUID == "":
		return true
	case e.OutOfService:
		return !p.Spec.HostNetwork
	}
	return !p.Spec.HostNetwork && !p.CreationTimestamp.After(node.CreationTimestamp.Time)
}

// report says once why a lost node's objects are kept.
func (g *garbage) report(owner ownerID, objects int, why string) {
	kind, _, _ := strings.Cut(why, ";")
	if g.said[owner] == kind {
		return
	}
	g.said[owner] = kind
	g.log.Info("node is lost; its addresses are kept for now", "node", owner.Name, "nodeUID", owner.UID, "objects", objects, "why", why)
}
