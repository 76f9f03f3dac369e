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

// markedNamespaces are those with a label, of one value or of any. The watch sees no others, so that a cluster without any costs nothing.
type markedNamespaces struct {
	*watched
	client metadata.Interface
	label  string
}

// newMarkedNamespaces prepares the copy; what says in few words what the label means. Without a value, all of them.
func newMarkedNamespaces(c *Client, what, label, value string) *markedNamespaces {
	mark := label
	if value != "" {
		mark += "=" + value
	}
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
	return &markedNamespaces{watchObjects("namespaces "+what, lw, &metav1.PartialObjectMetadata{}, stripMarked(label)), c.Metadata, label}
}

func stripMarked(label string) cache.TransformFunc {
	return func(object any) (any, error) {
		m, ok := object.(*metav1.PartialObjectMetadata)
		if !ok {
			return object, nil
		}
		m.ObjectMeta = metav1.ObjectMeta{Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Labels: map[string]string{label: m.Labels[label]}}
		return m, nil
	}
}

// value is the label's on a namespace, "" for none. Until the copy is complete it is asked for: counting on one node what is to be counted
// in the cluster gives an address twice.
func (m *markedNamespaces) value(ctx context.Context, name string) (string, error) {
	if m.Synced() {
		if object, ok, _ := m.store.GetByKey(name); ok {
			return object.(*metav1.PartialObjectMetadata).Labels[m.label], nil
		}
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	n, err := m.client.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read whether namespace %s is labelled %s: %w: %w", name, m.label, attach.ErrUnavailable, err)
	}
	return n.Labels[m.label], nil
}

// marked tells whether a namespace is in the copy.
func (m *markedNamespaces) marked(name string) bool {
	_, ok, _ := m.store.GetByKey(name)
	return ok
}
