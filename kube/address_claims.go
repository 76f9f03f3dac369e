package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

const claimResource = "ipclaims"

// UpdateAddress writes a bound address if it is still as it was read.
func (s *Addresses) UpdateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	return update(ctx, s, addressResource, a.Name, a.Object(), &v1alpha1.IPAddress{}, ipam.AddressFrom)
}

// DropAddress deletes a bound address if it is still as it was read.
func (s *Addresses) DropAddress(ctx context.Context, a ipam.Address) error {
	return s.delete(ctx, addressResource, a.Name, metav1.Preconditions{UID: uid(a.UID), ResourceVersion: &a.Version})
}

// GetClaim reads one claim.
func (s *Addresses) GetClaim(ctx context.Context, namespace, name string) (ipam.Claim, error) {
	into := &v1alpha1.IPClaim{}
	err := s.client.Get().Namespace(namespace).Resource(claimResource).Name(name).Do(ctx).Into(into)
	return value("read "+claimResource+"/"+name, into, err, ipam.ClaimFrom)
}

// CreateClaim writes a claim that must not exist yet.
func (s *Addresses) CreateClaim(ctx context.Context, c ipam.Claim) (ipam.Claim, error) {
	into := &v1alpha1.IPClaim{}
	err := s.client.Post().Namespace(c.Namespace).Resource(claimResource).Body(c.Object()).Do(ctx).Into(into)
	return value("create in "+claimResource, into, err, ipam.ClaimFrom)
}

// UpdateClaim writes what a claim has if it is still as it was read. Who uses it is the controller's to write.
func (s *Addresses) UpdateClaim(ctx context.Context, c ipam.Claim) (ipam.Claim, error) {
	return s.patchClaim(ctx, c, map[string]any{"status": map[string]any{"addresses": c.HasObject(), "mac": c.MAC.String()}}, "status")
}

// OwnClaim writes with whose end a claim ends, if it is still as it was read.
func (s *Addresses) OwnClaim(ctx context.Context, c ipam.Claim) (ipam.Claim, error) {
	return s.patchClaim(ctx, c, map[string]any{"metadata": map[string]any{"ownerReferences": c.Holder.References()}})
}

// ClaimNames lists the claims of a namespace (attach.Claims).
func (s *Addresses) ClaimNames(ctx context.Context, namespace string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	var list v1alpha1.IPClaimList
	err := s.client.Get().Namespace(namespace).Resource(claimResource).Param("limit", "500").Do(ctx).Into(&list)
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	return names, sorted("list "+claimResource, err)
}

// patchClaim changes some fields of a claim. A patch that names the version is refused if there is another by now.
func (s *Addresses) patchClaim(ctx context.Context, c ipam.Claim, change map[string]any, sub ...string) (ipam.Claim, error) {
	of, _ := change["metadata"].(map[string]any)
	if of == nil {
		of = map[string]any{}
	}
	of["uid"], of["resourceVersion"] = c.UID, c.Version
	change["metadata"] = of
	body, err := json.Marshal(change)
	if err != nil {
		return ipam.Claim{}, fmt.Errorf("render a change of IPClaim %s/%s: %w", c.Namespace, c.Name, err)
	}
	into := &v1alpha1.IPClaim{}
	err = s.client.Patch(types.MergePatchType).Namespace(c.Namespace).Resource(claimResource).Name(c.Name).SubResource(sub...).Body(body).Do(ctx).Into(into)
	return value("update "+claimResource+"/"+c.Name, into, err, ipam.ClaimFrom)
}
