package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	nodepool "github.com/tsunagu-net/tsunagu/node/pool"
)

// noteMost is how long the API server lets the text of an Event be.
const noteMost = 1024

// poolsEvery is how often node pools are looked at.
const poolsEvery = 5 * time.Second

// Reasons of Events about node pools.
const (
	// ReasonNodePoolGrows is on a Pod for which a machine is made.
	ReasonNodePoolGrows = "NodePoolGrows"
	// ReasonNodePoolWaits is on a Pod that waits for a pool.
	ReasonNodePoolWaits = "NodePoolWaits"
	// ReasonNodePoolWrong is on a MachineDeployment that cannot be scaled as it asks.
	ReasonNodePoolWrong = "NodePoolWrong"
)

// nodePools scales MachineDeployments of Cluster API that ask for it, where no
// autoscaler does. Nothing it must remember is in memory: what it is at stands
// on the Node and the Machine. Every read of a round is from the API server.
type nodePools struct {
	client.Client
	live   client.Reader
	mapper meta.RESTMapper
	events events.EventRecorder
	log    *slog.Logger
	now    func() time.Time

	still  map[string]numbers   // pools
	unused map[string]time.Time // nodes, since when
	memory *memory
}

// numbers of a pool, and since when they are so.
type numbers struct {
	replicas, ready int
	since           time.Time
}

// Start looks at the pools until ctx ends.
func (r *nodePools) Start(ctx context.Context) error {
	tick := time.NewTicker(poolsEvery)
	defer tick.Stop()
	for {
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("scale node pools", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// NeedLeaderElection makes the manager run one only.
func (r *nodePools) NeedLeaderElection() bool { return true }

func (r *nodePools) round(ctx context.Context) error {
	found, err := r.observe(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	var pods corev1.PodList
	if err := r.live.List(ctx, &pods, client.MatchingFields{"spec.nodeName": ""}); err != nil {
		return fmt.Errorf("list Pods on no node: %w", err)
	}
	byName, demands, wanted := map[string]*corev1.Pod{}, []nodepool.Demand(nil), map[string]bool{}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Annotations[attach.SelectionAnnotation] == "" || !stuck(p) {
			continue
		}
		d := nodepool.Demand{Pod: p.Namespace + "/" + p.Name}
		for _, m := range found {
			if m.serves(p) {
				d.Pools, wanted[m.Name] = append(d.Pools, m.Name), true
			}
		}
		if len(d.Pools) > 0 {
			byName[d.Pod], demands = p, append(demands, d)
		}
	}
	all := make([]nodepool.Pool, len(found))
	for i, m := range found {
		all[i] = m.Pool
	}
	grow, waits := nodepool.Grow(all, demands)
	var errs []error
	grown := map[string]bool{}
	for _, g := range grow {
		grown[g.Pool] = true
		errs = append(errs, r.grow(ctx, found, g, byName))
	}
	for name, text := range waits {
		r.tell(byName[name], corev1.EventTypeWarning, ReasonNodePoolWaits, text)
	}
	for _, m := range found {
		if step, ok := nodepool.Shrink(m.Pool, wanted[m.Name]); ok && !grown[m.Name] {
			errs = append(errs, r.shrink(ctx, m, step))
		}
	}
	return errors.Join(errs...)
}

func (r *nodePools) grow(ctx context.Context, found []*machineDeployment, g nodepool.Growth, pods map[string]*corev1.Pod) error {
	m := found[slices.IndexFunc(found, func(m *machineDeployment) bool { return m.Name == g.Pool })]
	if err := r.scale(ctx, m, g.To); err != nil {
		return err
	}
	text := fmt.Sprintf("MachineDeployment %s goes from %d to %d replicas: its nodes have %s", g.Pool, g.From, g.To, strings.Join(m.Networks, ","))
	for _, name := range g.Pods {
		r.tell(pods[name], corev1.EventTypeNormal, ReasonNodePoolGrows, text)
	}
	r.log.Info("a node pool grows", "pool", g.Pool, "replicas", g.To, "pods", g.Pods)
	return nil
}

// scale sets replicas, if nobody has changed the MachineDeployment since it was
// read: of two controllers one does it.
func (r *nodePools) scale(ctx context.Context, m *machineDeployment, to int) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": m.object.GetResourceVersion()}, "spec": map[string]any{"replicas": to}})
	if err != nil {
		return err
	}
	err = r.SubResource("scale").Patch(ctx, m.object.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if err != nil && !apierrors.IsConflict(err) { // then the next round looks again
		return fmt.Errorf("scale MachineDeployment %s to %d: %w", m.Name, to, err)
	}
	return nil
}

func (r *nodePools) shrink(ctx context.Context, m *machineDeployment, s nodepool.Step) error {
	node := &corev1.Node{}
	node.Name = s.Node
	machine := m.machines[s.Node]
	r.log.Info("a node of a pool has no Pods", "pool", s.Pool, "node", s.Node, "step", string(s.Verb))
	switch s.Verb {
	case nodepool.Close:
		return r.patch(ctx, node, `{"metadata":{"annotations":{"`+v1alpha1.PoolLeavingAnnotation+`":"true"}},"spec":{"unschedulable":true}}`)
	case nodepool.Choose:
		return r.patch(ctx, machine.DeepCopy(), `{"metadata":{"annotations":{"`+machineDelete+`":"tsunagu"}}}`)
	case nodepool.Lower:
		return r.scale(ctx, m, s.To)
	case nodepool.Reopen: // the mark on the node goes last: with it this is done again
		if machine.GetAnnotations()[machineDelete] != "" {
			if err := r.patch(ctx, machine.DeepCopy(), `{"metadata":{"annotations":{"`+machineDelete+`":null}}}`); err != nil {
				return err
			}
		}
		return r.patch(ctx, node, `{"metadata":{"annotations":{"`+v1alpha1.PoolLeavingAnnotation+`":null}},"spec":{"unschedulable":null}}`)
	}
	return nil
}

func (r *nodePools) patch(ctx context.Context, o client.Object, patch string) error {
	if err := r.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch))); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patch %s: %w", o.GetName(), err)
	}
	return nil
}

// tell says something about an object once.
func (r *nodePools) tell(o client.Object, kind, reason, text string) {
	if text == "" || !r.memory.news(o.GetUID(), text, r.now()) {
		return
	}
	r.memory.forget(r.now())
	text = text[:min(len(text), noteMost)]
	r.events.Eventf(o, nil, kind, reason, "Scaling", "%s", text)
}
