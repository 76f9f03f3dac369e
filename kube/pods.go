package kube

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/attach"
)

// staticAnnotation holds the UID that the kubelet gives a static Pod.
const staticAnnotation = "kubernetes.io/config.hash"

// lag is how long a Pod that the copy does not have yet is waited for before the API server is asked: the kubelet hears of a Pod by a
// watch of its own, which may be a moment ahead of ours.
const lag = 50 * time.Millisecond

// liveTimeout bounds a read that an ADD waits for.
const liveTimeout = 2 * time.Second

var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// Pods knows the Pods of one node, without spec and status.
type Pods struct {
	*watched
	client metadata.Interface
}

// NewPods prepares the copy of the node's Pods; Run keeps it.
func NewPods(c *Client, node string) *Pods {
	selector := fields.OneTermEqualSelector("spec.nodeName", node).String()
	pods := c.Metadata.Resource(podResource)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.FieldSelector = selector
			return pods.Watch(ctx, o)
		},
	}
	return &Pods{
		watched: watchObjects("pods of this node", cache.ToListWatcherWithWatchListSemantics(lw, c.Metadata), &metav1.PartialObjectMetadata{}, stripPod),
		client:  c.Metadata,
	}
}

func stripPod(object any) (any, error) {
	p, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := map[string]string{}
	for _, key := range []string{attach.SelectionAnnotation, attach.DefaultNetworkAnnotation, staticAnnotation} {
		if v, ok := p.Annotations[key]; ok {
			kept[key] = v
		}
	}
	var labels map[string]string
	for _, key := range []string{attach.KubeVirtMigrationLabel, attach.MigrationLabel} {
		if v, ok := p.Labels[key]; ok {
			labels = map[string]string{key: v}
		}
	}
	p.ObjectMeta = metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
		DeletionTimestamp: p.DeletionTimestamp, Annotations: kept, Labels: labels,
		OwnerReferences: stickyOwner(p.OwnerReferences),
	}
	return p, nil
}

// stickyOwner is the StatefulSet that controls a Pod, if one does: the only owner that anybody here asks for. What it gives it leaves as
// it is, because an object is stripped more than once.
func stickyOwner(refs []metav1.OwnerReference) []metav1.OwnerReference {
	for _, r := range refs {
		if r.Controller != nil && *r.Controller && r.Kind == "StatefulSet" {
			return []metav1.OwnerReference{{APIVersion: r.APIVersion, Kind: r.Kind, Name: r.Name, UID: r.UID, Controller: r.Controller}}
		}
	}
	return nil
}

// Pod finds a Pod of this node (attach.Pods).
func (p *Pods) Pod(ctx context.Context, namespace, name, uid string) (attach.Pod, error) {
	var pod attach.Pod
	found := func() bool {
		object, ok, _ := p.store.GetByKey(namespace + "/" + name)
		if !ok {
			return false
		}
		pod = toPod(object.(*metav1.PartialObjectMetadata))
		return pod.Is(uid)
	}
	if p.wait(ctx, lag, found) {
		return pod, nil
	}
	live, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	object, err := p.client.Resource(podResource).Namespace(namespace).Get(live, name, metav1.GetOptions{})
	switch {
	case err == nil:
		object.OwnerReferences = stickyOwner(object.OwnerReferences)
		if pod = toPod(object); pod.Is(uid) {
			return pod, nil
		}
		return pod, fmt.Errorf("pod %s/%s is another one now (UID %s, not %s): %w", namespace, name, pod.UID, uid, attach.ErrNotFound)
	case apierrors.IsNotFound(err):
		return pod, fmt.Errorf("pod %s/%s: %w", namespace, name, attach.ErrNotFound)
	case found(): // the watch was faster than the error
		return pod, nil
	}
	return pod, fmt.Errorf("read pod %s/%s: %w: %w", namespace, name, attach.ErrUnavailable, err)
}

// Known lists the UIDs of this node's Pods, and whether the list is complete.
func (p *Pods) Known() (map[string]bool, bool) {
	uids := map[string]bool{}
	for _, object := range p.store.List() {
		pod := toPod(object.(*metav1.PartialObjectMetadata))
		uids[pod.UID] = true
		if pod.StaticUID != "" {
			uids[pod.StaticUID] = true
		}
	}
	return uids, p.Synced()
}

func toPod(m *metav1.PartialObjectMetadata) attach.Pod {
	pod := attach.Pod{Namespace: m.Namespace, Name: m.Name, UID: string(m.UID), StaticUID: m.Annotations[staticAnnotation],
		Networks: m.Annotations[attach.SelectionAnnotation], DefaultNetwork: m.Annotations[attach.DefaultNetworkAnnotation], Migrates: attach.Migrates(m.Labels)}
	for _, r := range m.OwnerReferences {
		pod.Owner = attach.Controller{APIVersion: r.APIVersion, Kind: r.Kind, Name: r.Name, UID: string(r.UID)}
	}
	return pod
}
