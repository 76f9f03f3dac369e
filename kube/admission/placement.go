package admission

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// PlacementPath is where Placement answers.
const PlacementPath = "/placement"

// Placement keeps Pods off nodes that do not have their networks: it adds a
// required node affinity on the labels that the controller sets where a Network
// was verified. A Pod that selects no Network with a reach is not touched.
type Placement struct {
	// Cached reads are from the controller's caches, Live ones are not.
	Cached, Live client.Reader
	Log          *slog.Logger
	// Gates: Pods for which a node is about to be brought onto a network are kept from the scheduler for that time.
	Gates bool

	seen sighting
}

// placed is what is read of a Pod.
type placed struct {
	template
	Spec struct {
		HostNetwork               bool           `json:"hostNetwork"`
		NodeName                  string         `json:"nodeName"`
		Affinity                  map[string]any `json:"affinity"`
		SchedulingGates           []gate         `json:"schedulingGates"`
		TopologySpreadConstraints []any          `json:"topologySpreadConstraints"`
	} `json:"spec"`
}

// Handle answers one request. It lets pass as it is what it cannot judge.
func (p *Placement) Handle(ctx context.Context, req admission.Request) (response admission.Response) {
	defer func() {
		if caught := recover(); caught != nil {
			p.Log.Error("placing a Pod panicked", "pod", req.Namespace+"/"+req.Name, "panic", caught, "stack", string(debug.Stack()))
			response = admission.Allowed("")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var pod placed
	if err := json.Unmarshal(req.Object.Raw, &pod); err != nil || pod.Spec.HostNetwork || pod.Spec.NodeName != "" {
		return admission.Allowed("")
	}
	networks, err := p.Reached(ctx, pod.networks(), req.Namespace)
	if err != nil {
		p.Log.Debug("a Pod was not placed", "pod", req.Namespace+"/"+req.Name, "err", err)
	}
	nowhere := p.nowhere(ctx, networks)
	patch := p.spread(ctx, &pod, networks)
	if len(nowhere) > 0 {
		patch = append(patch, p.gate(ctx, &pod, networks)...)
	}
	affinity, changed := require(pod.Spec.Affinity, networks)
	if changed {
		patch = append(patch, jsonpatch.NewOperation("add", "/spec/affinity", affinity))
	}
	if len(patch) == 0 {
		return admission.Allowed("")
	}
	return admission.Patched("", patch...).WithWarnings(worded(nowhere)...)
}

// Reached are the names of the Networks that a Pod selects and that only some nodes may have, each once.
func (p *Placement) Reached(ctx context.Context, annotation, namespace string) ([]string, error) {
	selections, err := attach.ParseSelections(annotation, namespace)
	if err != nil {
		return nil, err // the agents refuse it, and the Desk says so
	}
	desk := &Desk{Cached: p.Cached, Live: p.Live}
	var names []string
	for _, s := range selections {
		d, err := (definitions{ctx, desk}).Definition(ctx, s.Namespace, s.Name)
		if err != nil || d.Network == "" || slices.Contains(names, d.Network) {
			continue
		}
		var n v1alpha1.Network
		if err := desk.find(ctx, client.ObjectKey{Name: d.Network}, &n); err != nil {
			continue
		}
		if r := n.Spec.Reach; r != nil && (r.Interface != "" || r.Trunk != "" || r.PortGroup != nil) {
			names = append(names, d.Network)
		}
	}
	return names, nil
}

// require adds a requirement for each network to every term of the required node affinity: terms are alternatives. A term without
// expressions matches no node, and stays so. What a Pod requires already is not added again.
func require(affinity map[string]any, networks []string) (map[string]any, bool) {
	if len(networks) == 0 {
		return affinity, false
	}
	next := clone(affinity)
	node := clone(object(next["nodeAffinity"]))
	required := clone(object(node["requiredDuringSchedulingIgnoredDuringExecution"]))
	terms, _ := required["nodeSelectorTerms"].([]any)
	terms = slices.Clone(terms)
	if len(terms) == 0 {
		terms = []any{map[string]any{"matchExpressions": []any{}}}
		required = map[string]any{}
	}
	changed := false
	for i := range terms {
		term := clone(object(terms[i]))
		expressions, _ := term["matchExpressions"].([]any)
		fields, _ := term["matchFields"].([]any)
		if len(required) > 0 && len(expressions)+len(fields) == 0 {
			continue
		}
		for _, n := range networks {
			key := v1alpha1.NetworkReadyPrefix + n
			if slices.ContainsFunc(expressions, func(e any) bool { return object(e)["key"] == key && object(e)["operator"] == "In" }) {
				continue
			}
			expressions = append(slices.Clone(expressions), map[string]any{"key": key, "operator": "In", "values": []any{v1alpha1.NetworkReadyValue}})
			changed = true
		}
		term["matchExpressions"] = expressions
		terms[i] = term
	}
	required["nodeSelectorTerms"] = terms
	node["requiredDuringSchedulingIgnoredDuringExecution"] = required
	next["nodeAffinity"] = node
	return next, changed
}

func object(o any) map[string]any { m, _ := o.(map[string]any); return m }

func clone(m map[string]any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}

// nowhere says why no node would take a Pod, nil when one would.
func (p *Placement) nowhere(ctx context.Context, networks []string) []string {
	if len(networks) == 0 {
		return nil
	}
	return p.seen.nowhere(ctx, p.Cached, networks)
}

// Waits says why a Pod waits for a node that has its networks, nil when there is one.
func (p *Placement) Waits(ctx context.Context, annotation, namespace string) []string {
	networks, err := p.Reached(ctx, annotation, namespace)
	if err != nil || len(networks) == 0 {
		return nil
	}
	return p.nowhere(ctx, networks)
}
