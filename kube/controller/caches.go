package controller

import (
	"context"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// cacheOptions keep the caches small: definitions of ours only, and of every
// object not what nobody reads. Pods are never cached.
func cacheOptions() cache.Options {
	ours, err := k8slabels.NewRequirement(v1alpha1.NetworkLabel, selection.Exists, nil)
	if err != nil {
		panic("label " + v1alpha1.NetworkLabel + " is no label: " + err.Error())
	}
	return cache.Options{
		DefaultTransform: strip,
		ByObject: map[client.Object]cache.ByObject{
			&nadv1.NetworkAttachmentDefinition{}: {Label: k8slabels.NewSelector().Add(*ours)},
		},
	}
}

// strip drops what the controller does not read of any object.
func strip(o any) (any, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	m.SetManagedFields(nil)
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
