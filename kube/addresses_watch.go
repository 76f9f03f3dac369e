package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// WatchBlocks reports the blocks of one node until the context ends (ipam.Store). It keeps no copy of them: the API server selects by
// owner, so a node hears of its own blocks only, however large the cluster.
func (s *Addresses) WatchBlocks(ctx context.Context, nodeUID string, to ipam.BlockWatcher) {
	lw := cache.NewListWatchFromClient(s.client, blockResource, metav1.NamespaceAll, fields.OneTermEqualSelector(ownerField, nodeUID))
	cache.NewReflectorWithOptions(lw, &v1alpha1.IPBlock{}, blockEvents{s, to}, cache.ReflectorOptions{Name: "blocks of this node"}).RunWithContext(ctx)
}

// blockEvents hands what a reflector would store to a BlockWatcher.
type blockEvents struct {
	s  *Addresses
	to ipam.BlockWatcher
}

func (e blockEvents) Add(object any) error    { return e.tell(object, e.to.Changed) }
func (e blockEvents) Update(object any) error { return e.tell(object, e.to.Changed) }
func (e blockEvents) Delete(object any) error { return e.tell(object, e.to.Gone) }
func (e blockEvents) Resync() error           { return nil }

func (e blockEvents) Replace(objects []any, _ string) error {
	all := make([]ipam.Block, 0, len(objects))
	for _, o := range objects {
		_ = e.tell(o, func(b ipam.Block) { all = append(all, b) })
	}
	e.to.Reset(all)
	return nil
}

func (e blockEvents) tell(object any, to func(ipam.Block)) error {
	o, ok := object.(*v1alpha1.IPBlock)
	if !ok {
		return nil
	}
	b, err := ipam.BlockFrom(o)
	if err != nil {
		e.s.log.Warn("address object is passed over", "error", err)
		return nil
	}
	to(b)
	return nil
}
