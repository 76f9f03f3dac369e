package controller

import (
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

const p = v1alpha1.NetworkReadyPrefix

func says(heartbeat time.Time, phases map[string]v1alpha1.NetworkPhase) v1alpha1.NodeNetworkStatus {
	s := v1alpha1.NodeNetworkStatus{Heartbeat: metav1.NewTime(heartbeat)}
	for name, phase := range phases {
		s.Networks = append(s.Networks, v1alpha1.NodeNetworkState{Name: name, Phase: phase})
	}
	return s
}

func TestPlanLabels(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	card := map[string]v1alpha1.NetworkPhase{"card": v1alpha1.NetworkPhaseReady}
	ready := map[string]v1alpha1.NetworkPhase{"blue": v1alpha1.NetworkPhaseReady, "red": v1alpha1.NetworkPhaseDegraded, "green": v1alpha1.NetworkPhaseMissing}
	for _, c := range []struct {
		name   string
		have   map[string]string
		says   v1alpha1.NodeNetworkStatus
		change map[string]any
		spec   v1alpha1.NodeNetworkSpec
	}{
		{"new", map[string]string{"zone": "a"}, says(now, ready), map[string]any{p + "blue": "ready"}, v1alpha1.NodeNetworkSpec{}},
		{"settled", map[string]string{p + "blue": "ready", "zone": "a"}, says(now, ready), map[string]any{}, v1alpha1.NodeNetworkSpec{}},
		{"degraded", map[string]string{p + "blue": "ready", p + "red": "ready"}, says(now, ready), map[string]any{p + "red": nil}, v1alpha1.NodeNetworkSpec{}},
		{"written by a person", map[string]string{p + "blue": "yes", p + "x": "ready"}, says(now, ready), map[string]any{p + "blue": "ready", p + "x": nil}, v1alpha1.NodeNetworkSpec{}},
		{"an agent that is dead", map[string]string{p + "blue": "ready", "zone": "a"}, says(now.Add(-stale), ready), map[string]any{p + "blue": nil}, v1alpha1.NodeNetworkSpec{}},
		{"a card that leaves", map[string]string{p + "card": "ready"}, says(now, card), map[string]any{p + "card": nil}, v1alpha1.NodeNetworkSpec{Cards: []v1alpha1.NodeCard{{Network: "card", Leaving: true}}}},
		{"a card that stays", map[string]string{p + "card": "ready"}, says(now, card), map[string]any{}, v1alpha1.NodeNetworkSpec{Cards: []v1alpha1.NodeCard{{Network: "card"}, {Network: "red", Leaving: true}}}},
		{"a card that is gone, and an agent that does not know", map[string]string{p + "card": "ready"}, says(now, card), map[string]any{p + "card": nil}, v1alpha1.NodeNetworkSpec{}},
		{"an agent that never wrote", map[string]string{p + "blue": "ready"}, v1alpha1.NodeNetworkStatus{}, map[string]any{p + "blue": nil}, v1alpha1.NodeNetworkSpec{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if change, _ := planLabels(c.have, v1alpha1.NodeNetwork{Status: c.says, Spec: c.spec}, map[string]bool{"card": true}, now); !maps.Equal(change, c.change) {
				t.Errorf("%v, want %v", change, c.change)
			}
		})
	}
	if _, until := planLabels(nil, v1alpha1.NodeNetwork{Status: says(now.Add(-time.Minute), ready)}, nil, now); until != stale-time.Minute {
		t.Errorf("looks again after %s", until)
	}
}

// Whatever is there, one change is enough, and no other label is touched.
func TestPlanLabelsSettles(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SampledFrom([]string{p + "a", p + "b", p + "c", "zone", "a"})
		have := rapid.MapOf(keys, rapid.SampledFrom([]string{"ready", "x", ""})).Draw(t, "labels")
		status := says(now.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "age")),
			rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]v1alpha1.NetworkPhase{v1alpha1.NetworkPhaseReady, v1alpha1.NetworkPhaseMissing})).Draw(t, "networks"))
		change, _ := planLabels(have, v1alpha1.NodeNetwork{Status: status}, map[string]bool{"b": true}, now)
		next := maps.Clone(have)
		for key, value := range change {
			if len(key) <= len(p) {
				t.Fatalf("changes %s", key)
			}
			if delete(next, key); value != nil {
				next[key] = value.(string)
			}
		}
		if again, _ := planLabels(next, v1alpha1.NodeNetwork{Status: status}, map[string]bool{"b": true}, now); len(again) > 0 {
			t.Errorf("%v becomes %v, then %v", have, next, again)
		}
	})
}
