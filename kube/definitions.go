package kube

import (
	"context"
	"fmt"
	"strings"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

const (
	definitionResource = "network-attachment-definitions"
	resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"
	// binariesMark is the value of attach.PluginsMark that means something.
	binariesMark = "binaries"
)

// Definitions knows the network attachment definitions of all namespaces.
type Definitions struct {
	*watched
	client rest.Interface
	marked *markedNamespaces
}

// NewDefinitions prepares the copy of the definitions; Run keeps it.
func NewDefinitions(c *Client) *Definitions {
	lw := cache.NewListWatchFromClient(c.Networks, definitionResource, metav1.NamespaceAll, fields.Everything())
	return &Definitions{
		watched: watchObjects("network attachment definitions", lw, &nadv1.NetworkAttachmentDefinition{}, stripDefinition),
		client:  c.Networks,
		marked:  newMarkedNamespaces(c, "that say where host-local counts", attach.HostLocalMark, ""),
	}
}

// Run keeps the copies until the context ends, which is not an error.
func (d *Definitions) Run(ctx context.Context) error {
	go d.marked.Run(ctx)
	return d.watched.Run(ctx)
}

func stripDefinition(object any) (any, error) {
	d, ok := object.(*nadv1.NetworkAttachmentDefinition)
	if !ok {
		return object, nil
	}
	kept := metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion}
	for _, key := range []string{resourceAnnotation, attach.HostLocalMark, attach.PluginsMark} {
		if v := d.Annotations[key]; v != "" {
			metav1.SetMetaDataAnnotation(&kept, key, v)
		}
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
		return d.read(ctx, object.(*nadv1.NetworkAttachmentDefinition))
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	var live nadv1.NetworkAttachmentDefinition
	err := d.client.Get().Namespace(namespace).Resource(definitionResource).Name(name).Do(ctx).Into(&live)
	switch {
	case err == nil:
		return d.read(ctx, &live)
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

// read is toDefinition, and where addresses are counted when the namespace says so. Only a definition with host-local, or one whose
// configuration is elsewhere, asks that.
func (d *Definitions) read(ctx context.Context, object *nadv1.NetworkAttachmentDefinition) (attach.Definition, error) {
	def := toDefinition(object)
	if def.Count != "" || def.Config != "" && !strings.Contains(def.Config, ipam.TypeHostLocal) {
		return def, nil
	}
	mark, err := d.marked.value(ctx, def.Namespace)
	def.Count = attach.ParseCount(mark)
	return def, err
}

func toDefinition(d *nadv1.NetworkAttachmentDefinition) attach.Definition {
	return attach.Definition{Namespace: d.Namespace, Name: d.Name, Network: d.Labels[v1alpha1.NetworkLabel],
		Resource: d.Annotations[resourceAnnotation], Count: attach.ParseCount(d.Annotations[attach.HostLocalMark]), Config: d.Spec.Config,
		Binaries: d.Annotations[attach.PluginsMark] == binariesMark}
}
