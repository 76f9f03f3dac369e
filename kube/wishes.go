package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/attach"
)

// Wishes are what the Pods of a node ask for now, and which namespaces permit that running Pods get it (attach.Wishes).
type Wishes struct {
	pods   *Pods
	marked *markedNamespaces
}

// NewWishes prepares the copy of the namespaces; Run keeps it. That of the Pods is kept by whoever has it.
func NewWishes(c *Client, pods *Pods) *Wishes {
	return &Wishes{pods, newMarkedNamespaces(c, "whose running Pods change networks", attach.LiveMark, attach.LiveValue)}
}

// Run keeps the copy until the context ends, which is not an error.
func (w *Wishes) Run(ctx context.Context) error { return w.marked.Run(ctx) }

// Here lists the Pods of the node that nobody has deleted, if all are known.
func (w *Wishes) Here() ([]attach.Pod, bool) {
	var all []attach.Pod
	for _, object := range w.pods.store.List() {
		if m := object.(*metav1.PartialObjectMetadata); m.DeletionTimestamp == nil {
			all = append(all, toPod(m))
		}
	}
	return all, w.pods.Synced() && w.marked.Synced()
}

// Live tells whether a namespace permits changes.
func (w *Wishes) Live(namespace string) bool { return w.marked.marked(namespace) }

// Changed gives channels that are closed at the next change.
func (w *Wishes) Changed() (pods, namespaces <-chan struct{}) {
	return w.pods.Changed(), w.marked.Changed()
}
