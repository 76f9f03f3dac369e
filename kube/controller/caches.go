package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// cacheOptions keep the caches small: of every object not what nobody reads.
// Definitions are cached whole, those of people too, because a Pod may select
// any of them (admission). Of Pods only those that are on no node yet are
// cached, without spec and status.
func cacheOptions() cache.Options {
	return cache.Options{DefaultTransform: strip, ByObject: map[client.Object]cache.ByObject{
		unscheduled(): {Field: fields.OneTermEqualSelector("spec.nodeName", ""), Transform: stripPod},
	}}
}

// unscheduled is the kind of Pods, of which those on no node are cached.
func unscheduled() *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{}
	p.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	return p
}

// stripPod keeps of a Pod which networks it selects, and whether a gate was put there because of them.
func stripPod(o any) (any, error) {
	p, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	kept := metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp}
	if selects, ok := p.Annotations[attach.SelectionAnnotation]; ok {
		kept.Annotations = map[string]string{attach.SelectionAnnotation: selects}
		if gated, ok := p.Annotations[v1alpha1.GatedAnnotation]; ok {
			kept.Annotations[v1alpha1.GatedAnnotation] = gated
		}
	}
	p.ObjectMeta = kept
	return p, nil
}

// strip drops what the controller does not read of any object.
func strip(o any) (any, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	m.SetManagedFields(nil)
	if n, ok := o.(*corev1.Node); ok {
		n.Annotations, n.Status = nil, stripStatus(n.Status) // its taints are read
	}
	if p, ok := o.(*metav1.PartialObjectMetadata); ok {
		p.SetAnnotations(nil)
		p.SetFinalizers(nil)
		p.SetOwnerReferences(nil)
		if p.Kind == "Node" {
			p.SetLabels(nil)
		}
	}
	return o, nil
}

// stripStatus keeps of a node's status whether it works, and by which number its
// machine knows itself.
func stripStatus(s corev1.NodeStatus) corev1.NodeStatus {
	kept := corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{SystemUUID: s.NodeInfo.SystemUUID}}
	for _, c := range s.Conditions {
		if c.Type == corev1.NodeReady {
			kept.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return kept
}

func index(m ctrl.Manager) error {
	ctx := context.Background()
	err := m.GetFieldIndexer().IndexField(ctx, &v1alpha1.IPBlock{}, domainField, func(o client.Object) []string {
		return []string{o.(*v1alpha1.IPBlock).Spec.Domain}
	})
	if err != nil {
		return err
	}
	err = m.GetFieldIndexer().IndexField(ctx, &v1alpha1.IPAddress{}, domainField, func(o client.Object) []string {
		return []string{o.(*v1alpha1.IPAddress).Spec.Domain}
	})
	if err != nil {
		return err
	}
	return m.GetFieldIndexer().IndexField(ctx, &v1alpha1.IPAddress{}, claimField, claimKey)
}

// claimKey is the claim of an address, as namespace/name.
func claimKey(o client.Object) []string {
	if c := o.(*v1alpha1.IPAddress).Spec.Claim; c.UID != "" {
		return []string{c.Namespace + "/" + c.Name}
	}
	return nil
}
