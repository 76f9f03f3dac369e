package controller

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// podList is a cache of Pods on no node.
type podList struct {
	client.Client
	pods []metav1.PartialObjectMetadata
}

func (c podList) List(_ context.Context, l client.ObjectList, _ ...client.ListOption) error {
	l.(*metav1.PartialObjectMetadataList).Items = c.pods
	return nil
}

// A Pod is told once what the autoscaler makes of it, and again when that changes; while none waits nothing is read.
func TestScaleUpIsTold(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	pod := *unscheduled()
	pod.Name, pod.Namespace, pod.UID, pod.CreationTimestamp = "web", "team", "u1", metav1.NewTime(now)
	recorder := events.NewFakeRecorder(10)
	asked, answer, failure := 0, []ScaleUp{{UID: "u1", Text: "adds no node: md-1: memory"}, {UID: "other", Text: "of a Pod that has gone"}}, error(nil)
	cache := &podList{}
	r := &scaleUps{Client: cache, events: recorder, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }, memory: newMemory(),
		explain: func(context.Context) ([]ScaleUp, error) { asked++; return answer, failure }}
	round := func(after time.Duration, want string, reads int) {
		t.Helper()
		now = now.Add(after)
		r.round(t.Context())
		var got []string
		for len(recorder.Events) > 0 {
			got = append(got, <-recorder.Events)
		}
		if all := strings.Join(got, "; "); all != want || asked != reads {
			t.Errorf("told %q after %d reads, want %q after %d", all, asked, want, reads)
		}
	}
	round(0, "", 0)
	cache.pods = []metav1.PartialObjectMetadata{pod}
	round(scaleUpAfter-time.Second, "", 0)
	round(time.Second, "Warning NoScaleUp adds no node: md-1: memory", 1)
	round(scaleUpEvery, "", 2)
	failure = errors.New("no right")
	round(scaleUpEvery, "", 3)
	failure, answer = nil, []ScaleUp{{UID: "u1", Adds: true, Text: "adds a node of md-1"}}
	round(scaleUpEvery, "Normal ScaleUpExpected adds a node of md-1", 4)
	round(repeat, "Normal ScaleUpExpected adds a node of md-1", 5)
	gone := metav1.NewTime(now)
	cache.pods[0].DeletionTimestamp = &gone
	round(repeat, "", 5)
}
