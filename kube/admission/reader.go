package admission

import (
	"context"
	"fmt"
	"strings"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// resourceAnnotation names the device resource of a definition (Multi-Net spec 1.3 section 3.4).
const resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"

// liveTimeout is how long a single question to the API server may take.
const liveTimeout = 300 * time.Millisecond

// definitions finds definitions for a Reviewer, in the cache first.
type definitions struct {
	ctx context.Context
	d   *Desk
}

// pools finds IPPools for a Reviewer, in the cache first.
type pools struct {
	ctx context.Context
	d   *Desk
}

// Reviewer judges by what the cluster has now.
func (d *Desk) Reviewer(ctx context.Context) attach.Reviewer {
	return attach.Reviewer{Definitions: definitions{ctx, d}, Pools: pools{ctx, d}, Namespaces: d.Namespaces}
}

// find reads an object from the cache, and asks the API server when it is not
// there: it may have been created a moment ago.
func (d *Desk) find(ctx context.Context, key client.ObjectKey, into client.Object) error {
	err := d.Cached.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		ctx, cancel := context.WithTimeout(ctx, liveTimeout)
		defer cancel()
		err = d.Live.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w", key.Name, attach.ErrNotFound)
	case err != nil:
		return fmt.Errorf("read %s: %w: %w", key.Name, attach.ErrUnavailable, err)
	}
	return nil
}

func (d definitions) Definition(ctx context.Context, namespace, name string) (attach.Definition, error) {
	var o nadv1.NetworkAttachmentDefinition
	if err := d.d.find(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &o); err != nil {
		return attach.Definition{}, err
	}
	def := toDefinition(&o)
	if def.Count == "" && strings.Contains(def.Config, ipam.TypeHostLocal) {
		var n metav1.PartialObjectMetadata
		n.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
		if err := d.d.Cached.Get(ctx, client.ObjectKey{Name: namespace}, &n); err == nil {
			def.Count = attach.ParseCount(n.Labels[attach.HostLocalMark])
		}
	}
	return def, nil
}

func (d definitions) All() []attach.Definition {
	var list nadv1.NetworkAttachmentDefinitionList
	if err := d.d.Cached.List(d.ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	all := make([]attach.Definition, len(list.Items))
	for i := range list.Items {
		all[i] = toDefinition(&list.Items[i])
	}
	return all
}

func toDefinition(o *nadv1.NetworkAttachmentDefinition) attach.Definition {
	return attach.Definition{Namespace: o.Namespace, Name: o.Name, Network: o.Labels[v1alpha1.NetworkLabel],
		Resource: o.Annotations[resourceAnnotation], Config: o.Spec.Config,
		Count: attach.ParseCount(o.Annotations[attach.HostLocalMark])}
}

func (p pools) Pool(ctx context.Context, name string) (ipam.Pool, error) {
	var o v1alpha1.IPPool
	if err := p.d.find(ctx, client.ObjectKey{Name: name}, &o); err != nil {
		return ipam.Pool{}, err
	}
	return ipam.ParsePool(o)
}

func (p pools) Names() []string {
	var names []string
	for _, o := range p.d.pools(p.ctx) {
		names = append(names, o.Name)
	}
	return names
}

// pools lists the cache; its objects must not be changed.
func (d *Desk) pools(ctx context.Context) []v1alpha1.IPPool {
	var list v1alpha1.IPPoolList
	if err := d.Cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	return list.Items
}
