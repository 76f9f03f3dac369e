package kube

import (
	"context"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

const (
	regionResource  = "ipregions"
	blockResource   = "ipblocks"
	addressResource = "ipaddresses"

	ownerField = "spec.owner.nodeUID"
)

// Addresses is what nodes agree on addresses by (ipam.Store): IPRegions, IPBlocks and IPAddresses. Reads are of the API server itself,
// never of a copy, because ipam reasons about what it sees after what it wrote.
type Addresses struct {
	client rest.Interface
	log    *slog.Logger
}

// NewAddresses prepares the store. Nothing is sent yet.
func NewAddresses(c *Client, log *slog.Logger) *Addresses { return &Addresses{c.Tsunagu, log} }

// GetRegion reads one region.
func (s *Addresses) GetRegion(ctx context.Context, name string) (ipam.Region, error) {
	return read(ctx, s, regionResource, name, &v1alpha1.IPRegion{}, ipam.RegionFrom)
}

// ListRegions reads the regions of a domain.
func (s *Addresses) ListRegions(ctx context.Context, domain string) ([]ipam.Region, error) {
	var list v1alpha1.IPRegionList
	err := s.list(ctx, regionResource, ipam.Scope{Domain: domain}, &list)
	return parsed(s, list.Items, ipam.RegionFrom), err
}

// CreateRegion writes a region that must not exist yet.
func (s *Addresses) CreateRegion(ctx context.Context, r ipam.Region) (ipam.Region, error) {
	return create(ctx, s, regionResource, r.Object(), &v1alpha1.IPRegion{}, ipam.RegionFrom)
}

// GetBlock reads one block.
func (s *Addresses) GetBlock(ctx context.Context, name string) (ipam.Block, error) {
	return read(ctx, s, blockResource, name, &v1alpha1.IPBlock{}, ipam.BlockFrom)
}

// CreateBlock writes a block that must not exist yet: this is the lease.
func (s *Addresses) CreateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	return create(ctx, s, blockResource, b.Object(), &v1alpha1.IPBlock{}, ipam.BlockFrom)
}

// UpdateBlock writes a block if it is still as it was read.
func (s *Addresses) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	return update(ctx, s, blockResource, b.Name, b.Object(), &v1alpha1.IPBlock{}, ipam.BlockFrom)
}

// DeleteBlock deletes the block of that UID.
func (s *Addresses) DeleteBlock(ctx context.Context, name, id string) error {
	return s.delete(ctx, blockResource, name, metav1.Preconditions{UID: uid(id)})
}

// ListBlocks reads the blocks of a scope.
func (s *Addresses) ListBlocks(ctx context.Context, scope ipam.Scope) ([]ipam.Block, error) {
	var list v1alpha1.IPBlockList
	err := s.list(ctx, blockResource, scope, &list)
	return parsed(s, list.Items, ipam.BlockFrom), err
}

// GetAddress reads one bound address.
func (s *Addresses) GetAddress(ctx context.Context, name string) (ipam.Address, error) {
	return read(ctx, s, addressResource, name, &v1alpha1.IPAddress{}, ipam.AddressFrom)
}

// CreateAddress binds an address that must not be bound yet.
func (s *Addresses) CreateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	return create(ctx, s, addressResource, a.Object(), &v1alpha1.IPAddress{}, ipam.AddressFrom)
}

// DeleteAddress deletes the bound address of that UID.
func (s *Addresses) DeleteAddress(ctx context.Context, name, id string) error {
	return s.delete(ctx, addressResource, name, metav1.Preconditions{UID: uid(id)})
}

// ListAddresses reads the bound addresses of a scope.
func (s *Addresses) ListAddresses(ctx context.Context, scope ipam.Scope) ([]ipam.Address, error) {
	var list v1alpha1.IPAddressList
	err := s.list(ctx, addressResource, scope, &list)
	return parsed(s, list.Items, ipam.AddressFrom), err
}

func (s *Addresses) list(ctx context.Context, resource string, scope ipam.Scope, into runtime.Object) error {
	request := s.client.Get().Resource(resource)
	by := labels.Set{}
	if scope.Domain != "" {
		by[v1alpha1.DomainLabel] = scope.Domain
	}
	if scope.Region != "" {
		by[ipam.RegionLabel] = scope.Region
	}
	if len(by) > 0 {
		request = request.Param("labelSelector", by.String())
	}
	if scope.NodeUID != "" {
		request = request.Param("fieldSelector", ownerField+"="+scope.NodeUID)
	}
	return sorted("list "+resource, request.Do(ctx).Into(into))
}

func (s *Addresses) delete(ctx context.Context, resource, name string, only metav1.Preconditions) error {
	err := s.client.Delete().Resource(resource).Name(name).Body(&metav1.DeleteOptions{Preconditions: &only}).Do(ctx).Error()
	return sorted("delete "+resource+"/"+name, err)
}

func uid(id string) *types.UID {
	u := types.UID(id)
	return &u
}

func read[O runtime.Object, V any](ctx context.Context, s *Addresses, resource, name string, into O, parse func(O) (V, error)) (V, error) {
	err := s.client.Get().Resource(resource).Name(name).Do(ctx).Into(into)
	return value("read "+resource+"/"+name, into, err, parse)
}

func create[O runtime.Object, V any](ctx context.Context, s *Addresses, resource string, object, into O, parse func(O) (V, error)) (V, error) {
	err := s.client.Post().Resource(resource).Body(object).Do(ctx).Into(into)
	return value("create in "+resource, into, err, parse)
}

func update[O runtime.Object, V any](ctx context.Context, s *Addresses, resource, name string, object, into O, parse func(O) (V, error)) (V, error) {
	err := s.client.Put().Resource(resource).Name(name).Body(object).Do(ctx).Into(into)
	return value("update "+resource+"/"+name, into, err, parse)
}

func value[O runtime.Object, V any](doing string, object O, err error, parse func(O) (V, error)) (V, error) {
	if err != nil {
		var none V
		return none, sorted(doing, err)
	}
	return parse(object)
}

// parsed turns a list into values. An object that cannot be read is left out and told of: nobody here wrote it.
func parsed[O, V any](s *Addresses, items []O, parse func(*O) (V, error)) []V {
	out := make([]V, 0, len(items))
	for i := range items {
		v, err := parse(&items[i])
		if err != nil {
			s.log.Warn("address object is passed over", "error", err)
			continue
		}
		out = append(out, v)
	}
	return out
}

// sorted gives an error the kind that ipam knows. A 404 for a whole resource is not the absence of an object: the definitions may be
// gone, and with them everything that was agreed.
func sorted(doing string, err error) error {
	kind := error(nil)
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err):
		kind = ipam.ErrNotFound
	case apierrors.IsAlreadyExists(err):
		kind = ipam.ErrExists
	case apierrors.IsConflict(err):
		kind = ipam.ErrConflict
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		kind = ipam.ErrForbidden
	}
	if kind == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, err)
}
