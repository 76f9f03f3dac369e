package controller

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// A gate stays while a node is being brought, and never longer than two minutes; gates of others stay.
func TestGateGoes(t *testing.T) {
	born := time.Unix(1_800_000_000, 0)
	type world struct {
		networks              []string
		err                   error
		there, brings, acting bool
	}
	blue := []string{"blue"}
	for _, c := range []struct {
		name string
		age  time.Duration
		w    world
		goes bool
	}{
		{"it has just come", time.Second, world{blue, nil, false, true, false}, false},
		{"a node is being brought", time.Minute, world{blue, nil, false, true, true}, false},
		{"a node has it", time.Minute, world{blue, nil, true, true, true}, true},
		{"nobody can bring one", time.Second, world{blue, nil, false, false, false}, true},
		{"nobody does", gateFirst, world{blue, nil, false, true, false}, true},
		{"it takes too long", gateMost, world{blue, nil, false, true, true}, true},
		{"its networks are gone", time.Second, world{nil, nil, false, true, true}, true},
		{"its annotation cannot be read", time.Second, world{blue, errors.New("no"), false, true, true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web", CreationTimestamp: metav1.NewTime(born),
				Annotations: map[string]string{attach.SelectionAnnotation: "blue", v1alpha1.GatedAnnotation: "true"}}}
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}, {Name: v1alpha1.NetworkGate}}
			k := cluster(t, pod)
			r := &gates{Client: k, live: k, log: slog.New(slog.DiscardHandler), now: func() time.Time { return born.Add(c.age) },
				reached: func(context.Context, string, string) ([]string, error) { return c.w.networks, c.w.err },
				there:   func(context.Context, string, string) bool { return c.w.there },
				brings:  func(context.Context, []string) bool { return c.w.brings },
				acting:  func([]string) bool { return c.w.acting }}
			result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
			must[int](t)(0, errors.Join(err, k.Get(t.Context(), client.ObjectKeyFromObject(pod), pod)))
			want := 2
			if c.goes {
				want = 1
			}
			if len(pod.Spec.SchedulingGates) != want || pod.Spec.SchedulingGates[0].Name != "example.com/quota" {
				t.Errorf("gates %v", pod.Spec.SchedulingGates)
			}
			if (result.RequeueAfter > 0) == c.goes {
				t.Errorf("looks again after %s", result.RequeueAfter)
			}
		})
	}
}
