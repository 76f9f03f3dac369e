package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/node/plan"
)

// scene is what a round of cards sees.
type scene struct {
	networks []v1alpha1.Network // of port groups
	nodes    map[string]corev1.Node
	has      map[string]v1alpha1.NodeNetwork
	pods     map[string]*corev1.Pod // that wait, by namespace/name
	world    plan.World
}

// any tells whether there is something to look after: without a Network of a
// port group and a card there is not.
func (s scene) any() bool {
	if len(s.networks) > 0 {
		return true
	}
	for _, h := range s.has {
		if len(h.Spec.Cards) > 0 {
			return true
		}
	}
	return false
}

// machine is by what the vCenter finds a node's virtual machine: what the cloud
// controller or Cluster API wrote, else what its firmware says.
func (s scene) machine(name string) string {
	n := s.nodes[name]
	if n.Spec.ProviderID != "" {
		return n.Spec.ProviderID
	}
	return n.Status.NodeInfo.SystemUUID
}

// network finds one of a port group.
func (s scene) network(name string) (v1alpha1.Network, bool) {
	i := slices.IndexFunc(s.networks, func(n v1alpha1.Network) bool { return n.Name == name })
	if i < 0 {
		return v1alpha1.Network{}, false
	}
	return s.networks[i], true
}

func (r *cards) observe(ctx context.Context) (scene, error) {
	s := scene{nodes: map[string]corev1.Node{}, has: map[string]v1alpha1.NodeNetwork{}, pods: map[string]*corev1.Pod{}}
	s.world.Now = r.now()
	var networks v1alpha1.NetworkList
	var nodes corev1.NodeList
	var has v1alpha1.NodeNetworkList
	for _, list := range []client.ObjectList{&networks, &nodes, &has} {
		if err := r.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return s, err
		}
	}
	for _, n := range networks.Items {
		if n.Spec.Reach != nil && n.Spec.Reach.PortGroup != nil && n.DeletionTimestamp == nil {
			s.networks = append(s.networks, n)
			g := n.Spec.Reach.PortGroup
			s.world.Networks = append(s.world.Networks, plan.Network{Name: n.Name, Most: int(g.MaxNodes), Idle: g.Idle()})
		}
	}
	for _, h := range has.Items {
		s.has[h.Name] = h
	}
	r.uids = map[string]types.UID{}
	for _, n := range nodes.Items {
		s.nodes[n.Name], r.uids[n.Name] = n, n.UID
	}
	if !s.any() {
		return s, nil
	}
	for _, n := range nodes.Items {
		s.world.Nodes = append(s.world.Nodes, r.node(s, n))
	}
	slices.SortFunc(s.world.Nodes, func(a, b plan.Node) int { return strings.Compare(a.Name, b.Name) })
	return s, r.waiting(ctx, &s)
}

// node is one as the planner sees it. A card that is being given counts as
// given.
func (r *cards) node(s scene, n corev1.Node) plan.Node {
	h, reports := s.has[n.Name]
	one := plan.Node{Name: n.Name, Has: map[string]bool{}, Loose: r.loose[n.Name]}
	one.Usable = reports && n.DeletionTimestamp == nil && !n.Spec.Unschedulable && s.machine(n.Name) != "" && s.world.Now.Sub(h.Status.Heartbeat.Time) < stale &&
		slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	for key := range n.Labels {
		if network, ok := strings.CutPrefix(key, v1alpha1.NetworkReadyPrefix); ok {
			one.Has[network] = true
		}
	}
	for _, c := range h.Spec.Cards {
		network, known := s.network(c.Network)
		one.Cards = append(one.Cards, plan.Card{Network: c.Network, MAC: c.MAC, Leaving: c.Leaving, Kept: c.Kept && known, Stray: known && network.Spec.Reach.PortGroup.Name != c.PortGroup})
	}
	step := r.busy[n.Name]
	if step.Do == plan.Give && !slices.ContainsFunc(one.Cards, func(c plan.Card) bool { return c.Network == step.Network }) {
		one.Cards = append(one.Cards, plan.Card{Network: step.Network})
	}
	return one
}

// mostWaiting is for how many Pods nodes are looked for in one round.
const mostWaiting = 200

// waiting finds the Pods that wait for Networks of port groups. Whether there
// are any is seen in the cache, what they ask for else at the API server.
func (r *cards) waiting(ctx context.Context, s *scene) error {
	var known metav1.PartialObjectMetadataList
	known.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := r.List(ctx, &known, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	if !slices.ContainsFunc(known.Items, func(p metav1.PartialObjectMetadata) bool {
		return len(r.wanted(ctx, *s, p.Annotations[attach.SelectionAnnotation], p.Namespace)) > 0
	}) {
		return nil
	}
	var pods corev1.PodList
	if err := r.live.List(ctx, &pods, client.MatchingFields{"spec.nodeName": ""}); err != nil {
		return fmt.Errorf("list Pods on no node: %w", err)
	}
	same := map[string]map[string]bool{} // Pods of one workload are taken by the same nodes
	slices.SortStableFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for i := range pods.Items {
		p := &pods.Items[i]
		wanted := r.wanted(ctx, *s, p.Annotations[attach.SelectionAnnotation], p.Namespace)
		if len(wanted) == 0 || p.DeletionTimestamp != nil || heldBack(p) || len(s.world.Waiting) == mostWaiting {
			continue
		}
		name, asks := p.Namespace+"/"+p.Name, placing(p, wanted)
		if same[asks] == nil {
			same[asks] = s.takers(p, wanted)
		}
		s.pods[name] = p
		s.world.Waiting = append(s.world.Waiting, plan.Pod{Name: name, Networks: wanted, On: same[asks]})
	}
	return nil
}

// wanted are the Networks that a Pod needs of a node, if one of them is of a
// port group.
func (r *cards) wanted(ctx context.Context, s scene, annotation, namespace string) []string {
	if annotation == "" {
		return nil
	}
	needs, err := r.needs(ctx, annotation, namespace)
	if err != nil || !slices.ContainsFunc(needs, func(name string) bool { _, ours := s.network(name); return ours }) {
		return nil
	}
	return needs
}

// placing is all of a Pod by which takers chooses nodes.
func placing(p *corev1.Pod, networks []string) string {
	text, err := json.Marshal([]any{p.Spec.NodeSelector, p.Spec.Affinity, p.Spec.Tolerations, networks})
	if err != nil {
		return string(p.UID)
	}
	return string(text)
}

// takers are the nodes that would take a Pod if they had its Networks, as far
// as labels and taints tell.
func (s scene) takers(p *corev1.Pod, networks []string) map[string]bool {
	affinity := nodeaffinity.GetRequiredNodeAffinity(p)
	on := map[string]bool{}
	for name, n := range s.nodes {
		with := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
		for key, value := range n.Labels {
			with.Labels[key] = value
		}
		for _, network := range networks {
			if _, ours := s.network(network); ours {
				with.Labels[v1alpha1.NetworkReadyPrefix+network] = v1alpha1.NetworkReadyValue
			}
		}
		fits, err := affinity.Match(&with)
		on[name] = fits && err == nil && tolerates(p, n.Spec.Taints)
	}
	return on
}
