package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// sighting is what nodes have, as it was a moment ago: many Pods like each other are created at once, and a cache of a thousand nodes takes a
// millisecond to list.
type sighting struct {
	mu   sync.Mutex
	at   time.Time
	list []*v1alpha1.NodeNetwork
	// said is what was answered since.
	said map[string][]string
	// host is the label by which nodes tell their host, empty when none does.
	host string
}

// sightFor is how old it may be. What is said by it is advice.
const sightFor = 500 * time.Millisecond

// nowhere is Nowhere of the nodes that a cache has. While the cache does not answer it goes by those of before.
func (s *sighting) nowhere(ctx context.Context, cached client.Reader, networks []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(ctx, cached)
	if s.at.IsZero() {
		return nil
	}
	key := strings.Join(networks, ",")
	said, ok := s.said[key]
	if !ok {
		said = Nowhere(networks, s.list)
		s.said[key] = said
	}
	return said
}

// hostKey is the label by which nodes tell their host.
func (s *sighting) hostKey(ctx context.Context, cached client.Reader) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(ctx, cached)
	return s.host
}

// look looks again if the last time is too long ago. The caller holds the lock.
func (s *sighting) look(ctx context.Context, cached client.Reader) {
	if time.Since(s.at) < sightFor {
		return
	}
	var nodes corev1.NodeList
	if err := cached.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err == nil {
		s.host = hostKey(nodes.Items)
	}
	var all v1alpha1.NodeNetworkList
	if err := cached.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	s.list = make([]*v1alpha1.NodeNetwork, len(all.Items))
	for i := range all.Items {
		s.list[i] = &all.Items[i]
	}
	slices.SortFunc(s.list, func(a, b *v1alpha1.NodeNetwork) int { return strings.Compare(a.Name, b.Name) })
	s.at, s.said = time.Now(), map[string][]string{}
}

// Nowhere says which networks no node has, and what a few nodes say of them, or that no node has all of them; nil when one has. The nodes
// are in the order of their names.
func Nowhere(networks []string, nodes []*v1alpha1.NodeNetwork) []string {
	if slices.ContainsFunc(nodes, func(o *v1alpha1.NodeNetwork) bool { return hasAll(o, networks) }) {
		return nil
	}
	var out, have []string
	for _, n := range networks {
		on, said := where(n, nodes)
		if len(on) == 0 {
			out = append(out, fmt.Sprintf("no node has network %s, so the Pod waits until one does; %s", n, said))
		}
		have = append(have, fmt.Sprintf("%s is on %s", n, few(on)))
	}
	if len(out) > 0 {
		return out
	}
	return []string{fmt.Sprintf("no node has all networks of the Pod, so it waits until one does: %s", strings.Join(have, "; "))}
}

// where are the nodes that have a network, and what the others say.
func where(network string, nodes []*v1alpha1.NodeNetwork) (on []string, said string) {
	const most = 3
	var others []string
	more := 0
	for _, o := range nodes {
		state := stateOf(o, network)
		switch {
		case state != nil && state.Phase == v1alpha1.NetworkPhaseReady:
			on = append(on, o.Name)
		case len(others) == most:
			more++
		case state == nil:
			others = append(others, o.Name+": has not looked for it yet")
		default:
			others = append(others, o.Name+": "+state.Message)
		}
	}
	said = strings.Join(others, "; ")
	if more > 0 {
		said += fmt.Sprintf("; and %d more nodes", more)
	}
	return on, said
}

// stateOf is what a node says of a network, nil for nothing.
func stateOf(o *v1alpha1.NodeNetwork, network string) *v1alpha1.NodeNetworkState {
	for i := range o.Status.Networks {
		if s := &o.Status.Networks[i]; s.Name == network {
			return s
		}
	}
	return nil
}

func hasAll(o *v1alpha1.NodeNetwork, networks []string) bool {
	for _, n := range networks {
		if s := stateOf(o, n); s == nil || s.Phase != v1alpha1.NetworkPhaseReady {
			return false
		}
	}
	return true
}
