package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

const poolResource = "ippools"

// Pools knows the IPPools of the cluster.
type Pools struct {
	*watched
	client rest.Interface
}

// NewPools prepares the copy of the pools; Run keeps it.
func NewPools(c *Client) *Pools {
	lw := cache.NewListWatchFromClient(c.Tsunagu, poolResource, metav1.NamespaceAll, fields.Everything())
	return &Pools{watched: watchObjects("address pools", lw, &v1alpha1.IPPool{}, stripPool), client: c.Tsunagu}
}

func stripPool(object any) (any, error) {
	p, ok := object.(*v1alpha1.IPPool)
	if !ok {
		return object, nil
	}
	return &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion}, Spec: p.Spec}, nil
}

// Pool finds one and reads it (attach.Pools). One that is not in the copy is asked for: it may have been created a moment ago.
func (p *Pools) Pool(ctx context.Context, name string) (ipam.Pool, error) {
	if object, ok, _ := p.store.GetByKey(name); ok {
		return ipam.ParsePool(*object.(*v1alpha1.IPPool))
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	var live v1alpha1.IPPool
	err := p.client.Get().Resource(poolResource).Name(name).Do(ctx).Into(&live)
	switch {
	case err == nil:
		return ipam.ParsePool(live)
	case apierrors.IsNotFound(err):
		return ipam.Pool{}, fmt.Errorf("IPPool %s: %w", name, attach.ErrNotFound)
	}
	return ipam.Pool{}, fmt.Errorf("read IPPool %s: %w: %w", name, attach.ErrUnavailable, err)
}

// Known finds one in the copy, without waiting (ipam.Options.Pool).
func (p *Pools) Known(name string) (ipam.Pool, bool) {
	object, ok, _ := p.store.GetByKey(name)
	if !ok {
		return ipam.Pool{}, false
	}
	pool, err := ipam.ParsePool(*object.(*v1alpha1.IPPool))
	return pool, err == nil
}

// Names lists the copy (attach.Pools).
func (p *Pools) Names() []string { return p.store.ListKeys() }
