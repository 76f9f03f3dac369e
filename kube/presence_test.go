package kube

import (
	"context"
	"log/slog"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata/fake"

	"github.com/tsunagu-net/tsunagu/attach/install"
)

func agentSet(deleted bool) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "tsunagu-system", Name: "tsunagu-agent"},
	}
	if deleted {
		now := metav1.Now()
		o.DeletionTimestamp, o.Finalizers = &now, []string{"foregroundDeletion"}
	}
	return o
}

func own() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: "tsunagu-system"},
	}
}

func metaScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never happened: " + what)
}

func TestPresenceSeesDeletion(t *testing.T) {
	client := fake.NewSimpleMetadataClient(metaScheme(t), agentSet(false), own())
	var life install.Life
	p := Presence{Client: client, Namespace: "tsunagu-system", DaemonSet: "tsunagu-agent", Life: &life, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	watched := func() bool {
		n := 0
		for _, a := range client.Actions() {
			if a.GetVerb() == "watch" {
				n++
			}
		}
		return n == 2
	}
	until(t, "both objects are watched", watched)
	if life.Uninstalled() {
		t.Error("uninstalled although both exist")
	}
	objects := client.Resource(daemonSets).Namespace("tsunagu-system")
	if err := objects.Delete(ctx, "tsunagu-agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the deletion is seen", life.Uninstalled)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPresenceAsk(t *testing.T) {
	for name, c := range map[string]struct {
		client *fake.FakeMetadataClient
		want   bool
	}{
		"there":       {fake.NewSimpleMetadataClient(metaScheme(t), agentSet(false)), false},
		"being freed": {fake.NewSimpleMetadataClient(metaScheme(t), agentSet(true)), true},
		"gone":        {fake.NewSimpleMetadataClient(metaScheme(t)), true},
	} {
		var life install.Life
		Presence{Client: c.client, Namespace: "tsunagu-system", DaemonSet: "tsunagu-agent", Life: &life}.Ask(t.Context())
		if life.Uninstalled() != c.want {
			t.Errorf("%s: uninstalled is %v", name, life.Uninstalled())
		}
	}
}
