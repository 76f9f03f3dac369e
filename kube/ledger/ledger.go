// Package ledger writes bound addresses on behalf of people: what the command
// line needs to import, reserve and release them.
//
// It is a room of its own beside kube's Addresses because the command line
// carries it to machines that have no netlink: it imports no room that works on
// a node. It decides nothing: ipam.Keep and ipam.Release do. Reads are of the
// API server itself.
package ledger

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Ledger is an ipam.Book.
type Ledger struct{ rest rest.Interface }

// New makes a Ledger. Nothing is sent yet.
func New(cfg *rest.Config) (*Ledger, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 200, 400
	cfg.ContentType = runtime.ContentTypeJSON
	scheme := runtime.NewScheme() // knows the API server's errors; objects are plain JSON
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", cfg.Host, err)
	}
	return &Ledger{client}, nil
}

// GetRegion reads one region.
func (l *Ledger) GetRegion(ctx context.Context, name string) (ipam.Region, error) {
	return do(ctx, "read", l.rest.Get(), "ipregions", name, nil, ipam.RegionFrom)
}

// GetBlock reads one block.
func (l *Ledger) GetBlock(ctx context.Context, name string) (ipam.Block, error) {
	return do(ctx, "read", l.rest.Get(), "ipblocks", name, nil, ipam.BlockFrom)
}

// UpdateBlock writes a block if it is still as it was read.
func (l *Ledger) UpdateBlock(ctx context.Context, b ipam.Block) (ipam.Block, error) {
	return do(ctx, "update", l.rest.Put(), "ipblocks", b.Name, typed(b.Object(), "IPBlock"), ipam.BlockFrom)
}

// GetAddress reads one bound address.
func (l *Ledger) GetAddress(ctx context.Context, name string) (ipam.Address, error) {
	return do(ctx, "read", l.rest.Get(), "ipaddresses", name, nil, ipam.AddressFrom)
}

// CreateAddress binds an address that must not be bound yet.
func (l *Ledger) CreateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	return do(ctx, "create", l.rest.Post(), "ipaddresses", "", typed(a.Object(), "IPAddress"), ipam.AddressFrom)
}

// UpdateAddress writes a bound address if it is still as it was read.
func (l *Ledger) UpdateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	return do(ctx, "update", l.rest.Put(), "ipaddresses", a.Name, typed(a.Object(), "IPAddress"), ipam.AddressFrom)
}

// DropAddress deletes a bound address if it is still as it was read.
func (l *Ledger) DropAddress(ctx context.Context, a ipam.Address) error {
	return l.drop(ctx, "ipaddresses", a.Meta)
}

// DropBlock deletes a block if it is still as it was read.
func (l *Ledger) DropBlock(ctx context.Context, b ipam.Block) error {
	return l.drop(ctx, "ipblocks", b.Meta)
}

// CreateClaim makes a claim that must not be there yet.
func (l *Ledger) CreateClaim(ctx context.Context, c ipam.Claim) (ipam.Claim, error) {
	return do(ctx, "create", l.rest.Post(), claims(c.Namespace), "", typed(c.Object(), "IPClaim"), ipam.ClaimFrom)
}

// GetClaim reads one claim.
func (l *Ledger) GetClaim(ctx context.Context, namespace, name string) (ipam.Claim, error) {
	return do(ctx, "read", l.rest.Get(), claims(namespace), name, nil, ipam.ClaimFrom)
}

func claims(namespace string) string { return "namespaces/" + namespace + "/ipclaims" }

func (l *Ledger) drop(ctx context.Context, resource string, m ipam.Meta) error {
	uid := types.UID(m.UID)
	body, err := json.Marshal(metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"},
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &m.Version}})
	if err != nil {
		return err
	}
	err = l.rest.Delete().AbsPath(path(resource, m.Name)).Body(body).Do(ctx).Error()
	return sorted("delete "+resource+"/"+m.Name, err)
}

// typed is an object as the API server takes it.
func typed[T runtime.Object](o T, kind string) T {
	o.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	return o
}

func path(resource, name string) string {
	at := "/apis/" + v1alpha1.GroupVersion.String() + "/" + resource
	if name != "" {
		at += "/" + name
	}
	return at
}

func do[O any, V any](ctx context.Context, verb string, request *rest.Request, resource, name string, body any, parse func(*O) (V, error)) (V, error) {
	var none V
	doing := verb + " " + path(resource, name)
	request = request.MaxRetries(2).AbsPath(path(resource, name)).SetHeader("Content-Type", runtime.ContentTypeJSON)
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return none, fmt.Errorf("%s: %w", doing, err)
		}
		request = request.Body(raw)
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil {
		return none, sorted(doing, err)
	}
	raw, err := result.Raw()
	if err != nil {
		return none, sorted(doing, err)
	}
	into := new(O)
	if err := json.Unmarshal(raw, into); err != nil {
		return none, fmt.Errorf("%s: read the answer: %w", doing, err)
	}
	return parse(into)
}

// sorted gives an error the kind that ipam knows.
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
