package controller

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// 1000 nodes with 50 networks each settle by one write for each node that
// changed, and none for the others. How long that takes is the API server's
// matter, and the one in memory says nothing of it: what it took is not counted.
func TestLabelsOfAThousandNodes(t *testing.T) {
	const nodes, networks = 1000, 50
	now := time.Unix(1_800_000_000, 0)
	phases := map[string]v1alpha1.NetworkPhase{}
	for n := range networks {
		phases[fmt.Sprint("net", n)] = v1alpha1.NetworkPhaseReady
	}
	var objects []client.Object
	for n := range nodes {
		meta := metav1.ObjectMeta{Name: fmt.Sprint("node", n)}
		objects = append(objects, &corev1.Node{ObjectMeta: meta}, &v1alpha1.NodeNetwork{ObjectMeta: meta, Status: says(now, phases)})
	}
	writes, inside := map[string]int{}, time.Duration(0)
	c := interceptor.NewClient(cluster(t, objects...), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			writes[o.GetName()]++
			start := time.Now()
			defer func() { inside += time.Since(start) }()
			return c.Patch(ctx, o, p, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			start := time.Now()
			defer func() { inside += time.Since(start) }()
			return c.Get(ctx, key, o, opts...)
		},
	})
	r := &nodeLabels{Client: c, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	round := func(want int) time.Duration {
		t.Helper()
		clear(writes)
		inside = 0
		start := time.Now()
		for range 2 { // a write is an event, by which a node is looked at again
			for n := range nodes {
				if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: fmt.Sprint("node", n)}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, n := range writes {
			if n > 1 {
				t.Errorf("%s was written %d times", name, n)
			}
		}
		if len(writes) != want {
			t.Errorf("%d nodes were written, want %d", len(writes), want)
		}
		return time.Since(start) - inside
	}
	took := round(nodes)
	for n := range 37 {
		var has v1alpha1.NodeNetwork
		must[int](t)(0, c.Get(t.Context(), types.NamespacedName{Name: fmt.Sprint("node", n*27)}, &has))
		for i := range 5 {
			has.Status.Networks[i].Phase = v1alpha1.NetworkPhaseDegraded
		}
		must[int](t)(0, c.Update(t.Context(), &has))
	}
	degraded := round(37)
	t.Logf("the controller's own time: all %s; 37 nodes lose 5 networks each %s", took, degraded)
	if took > 2*time.Second {
		t.Errorf("deciding took %s", took)
	}
	var node corev1.Node
	must[int](t)(0, c.Get(t.Context(), types.NamespacedName{Name: "node27"}, &node))
	if len(node.Labels) != networks-5 {
		t.Errorf("a node that lost 5 of %d networks has %d labels", networks, len(node.Labels))
	}
}
