package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/attach"
)

// clusterMark is the value of attach.HostLocalMark.
const clusterMark = "cluster"

// markedNamespaces are those with a label of a value. The watch sees no others, so that a cluster without any costs nothing.
type markedNamespaces struct {
	*watched
	client       metadata.Interface
	label, value string
}

// newMarkedNamespaces prepares the copy; what says in few words what the label means.
func newMarkedNamespaces(c *Client, what, label, value string) *markedNamespaces {
	mark := label + "=" + value
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = mark
			return c.Metadata.Resource(namespaces).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = mark
			return c.Metadata.Resource(namespaces).Watch(ctx, o)
		},
	}
	return &markedNamespaces{watchObjects("namespaces "+what, lw, &metav1.PartialObjectMetadata{}, stripMarked), c.Metadata, label, value}
}

func stripMarked(object any) (any, error) {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	m.ObjectMeta = metav1.ObjectMeta{Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	return m, nil
}

// has tells whether a namespace is marked. Until the copy is complete it is asked for: counting on one node what is to be counted in
// the cluster gives an address twice.
func (m *markedNamespaces) has(ctx context.Context, name string) (bool, error) {
	if m.Synced() {
		return m.marked(name), nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	n, err := m.client.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read whether namespace %s is labelled %s: %w: %w", name, m.label, attach.ErrUnavailable, err)
	}
	return n.Labels[m.label] == m.value, nil
}

// marked is has for who goes by the copy.
func (m *markedNamespaces) marked(name string) bool {
	_, ok, _ := m.store.GetByKey(name)
	return ok
}
