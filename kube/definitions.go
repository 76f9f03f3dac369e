package kube

import (
	"context"
	"fmt"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

const (
	definitionResource = "network-attachment-definitions"
	resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"
)

// Definitions knows the network attachment definitions of all namespaces.
type Definitions struct {
	*watched
	client rest.Interface
}

// NewDefinitions prepares the copy of the definitions; Run keeps it.
func NewDefinitions(c *Client) *Definitions {
	lw := cache.NewListWatchFromClient(c.Networks, definitionResource, metav1.NamespaceAll, fields.Everything())
	return &Definitions{
		watched: watchObjects("network attachment definitions", lw, &nadv1.NetworkAttachmentDefinition{}, stripDefinition),
		client:  c.Networks,
	}
}

func stripDefinition(object any) (any, error) {
	d, ok := object.(*nadv1.NetworkAttachmentDefinition)
	if !ok {
		return object, nil
	}
	kept := metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion}
	if v := d.Annotations[resourceAnnotation]; v != "" {
		kept.Annotations = map[string]string{resourceAnnotation: v}
	}
	if v := d.Labels[v1alpha1.NetworkLabel]; v != "" {
		kept.Labels = map[string]string{v1alpha1.NetworkLabel: v}
	}
	d.ObjectMeta = kept
	return d, nil
}

// Definition finds one (attach.Definitions). One that is not in the copy is asked for: it may have been created a moment ago.
func (d *Definitions) Definition(ctx context.Context, namespace, name string) (attach.Definition, error) {
	if object, ok, _ := d.store.GetByKey(namespace + "/" + name); ok {
		return toDefinition(object.(*nadv1.NetworkAttachmentDefinition)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	var live nadv1.NetworkAttachmentDefinition
	err := d.client.Get().Namespace(namespace).Resource(definitionResource).Name(name).Do(ctx).Into(&live)
	switch {
	case err == nil:
		return toDefinition(&live), nil
	case apierrors.IsNotFound(err):
		return attach.Definition{}, fmt.Errorf("network-attachment-definition %s/%s: %w", namespace, name, attach.ErrNotFound)
	}
	return attach.Definition{}, fmt.Errorf("read network-attachment-definition %s/%s: %w: %w", namespace, name, attach.ErrUnavailable, err)
}

// All lists the copy (attach.Definitions).
func (d *Definitions) All() []attach.Definition {
	objects := d.store.List()
	all := make([]attach.Definition, 0, len(objects))
	for _, object := range objects {
		all = append(all, toDefinition(object.(*nadv1.NetworkAttachmentDefinition)))
	}
	return all
}

func toDefinition(d *nadv1.NetworkAttachmentDefinition) attach.Definition {
	return attach.Definition{Namespace: d.Namespace, Name: d.Name, Network: d.Labels[v1alpha1.NetworkLabel],
		Resource: d.Annotations[resourceAnnotation], Config: d.Spec.Config}
}
