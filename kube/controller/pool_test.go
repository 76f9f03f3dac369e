package controller

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func poolsOf(t *testing.T, c client.Client) (*pools, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return &pools{Client: c, log: slog.New(slog.DiscardHandler), books: &books{c}, gauge: must[gauge](t)(addressGauge(registry)), wrote: map[string]time.Time{}}, registry
}

func TestReconcilePoolCounts(t *testing.T) {
	p := ipPool("p", "10.0.0.0/24")
	b, a := block("blue", "10.0.0.64/26", 0, 1), address("blue", "10.0.0.9")
	c := cluster(t, &p, &b, &a)
	r, registry := poolsOf(t, c)
	req := ctrl.Request{NamespacedName: types.NamespacedName{Name: "p"}}
	if _, err := r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.IPPool
	if err := c.Get(t.Context(), req.NamespacedName, &got); err != nil {
		t.Fatal(err)
	}
	s := got.Status
	if s.Total != 254 || s.Used != 3 || s.Free != 251 || s.Static != 1 || s.Blocks != 1 {
		t.Errorf("status %+v", s)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 1 || len(families[0].Metric) != 5 {
		t.Errorf("metrics %v, %v", families, err)
	}

	// The next count waits, so that a burst of Pods is one write.
	result, err := r.Reconcile(t.Context(), req)
	if err != nil || result.RequeueAfter <= 0 || result.RequeueAfter > writeEvery {
		t.Errorf("a second count: %+v, %v", result, err)
	}

	if err := c.Delete(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	r.wrote["p"] = time.Time{}
	if _, err := r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 || len(r.wrote) != 0 {
		t.Errorf("after the pool: metrics %v, %v, remembers %v", families, err, r.wrote)
	}
}

func TestGaugeTwice(t *testing.T) {
	registry := prometheus.NewRegistry()
	one := must[gauge](t)(addressGauge(registry))
	two := must[gauge](t)(addressGauge(registry))
	if one.addresses != two.addresses {
		t.Error("two gauges in one registry")
	}
}

func TestNeighbours(t *testing.T) {
	p, q := ipPool("p", "10.0.0.0/24"), ipPool("q", "10.0.1.0/24")
	red := ipPool("red", "10.0.0.0/24")
	red.Spec.Domain = "red"
	r, _ := poolsOf(t, cluster(t, &p, &q, &red))
	b, a := block("blue", "10.0.0.0/26"), address("blue", "10.0.1.7")
	for want, o := range map[string]client.Object{"p": &b, "q": &a} {
		got := r.neighbours(t.Context(), o)
		if len(got) != 1 || got[0].Name != want {
			t.Errorf("%s concerns %v, want %s", title(o), got, want)
		}
	}
	if got := r.neighbours(t.Context(), &v1alpha1.IPBlock{}); len(got) != 0 {
		t.Errorf("nonsense concerns %v", got)
	}
}
