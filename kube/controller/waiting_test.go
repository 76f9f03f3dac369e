package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tsunagu-net/tsunagu/attach"
)

// onePod is a cache with one Pod on no node, or none.
type onePod struct {
	client.Client
	pod *metav1.PartialObjectMetadata
}

func (c onePod) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	if c.pod == nil {
		return errors.New("the cache is broken")
	}
	*o.(*metav1.PartialObjectMetadata) = *c.pod
	return nil
}

func TestWaitingPodsAreToldOnce(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	pod := unscheduled()
	pod.Name, pod.Namespace, pod.UID, pod.CreationTimestamp = "web", "team", "u1", metav1.NewTime(now)
	pod.Annotations = map[string]string{attach.SelectionAnnotation: "blue"}
	recorder := events.NewFakeRecorder(10)
	why := []string{"no node has network blue"}
	r := &waiting{Client: onePod{pod: pod}, events: recorder, now: func() time.Time { return now }, memory: newMemory(),
		why: func(_ context.Context, annotation, namespace string) []string {
			if annotation != "blue" || namespace != "team" {
				t.Errorf("%s in %s", annotation, namespace)
			}
			return why
		}}
	look := func(after time.Duration, want string) {
		t.Helper()
		now = now.Add(after)
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "team", Name: "web"}}); err != nil {
			t.Fatal(err)
		}
		got := ""
		select {
		case got = <-recorder.Events:
		default:
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	look(0, "") // it is young
	look(patience, "WaitingForNetwork no node has network blue")
	look(waitEvery, "")
	why = []string{"no node has network blue", "no node has network red"}
	look(waitEvery, "blue; no node has network red")
	why = nil
	look(waitEvery, "")
	why = []string{"no node has network blue"}
	look(repeat, "no node has network blue")
	look(repeat, "no node has network blue")
	r.Client = onePod{}
	if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err == nil {
		t.Error("an error is lost")
	}
}
