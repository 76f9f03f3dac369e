package beside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/legacy"
)

// Book is the objects of whereabouts, as one node writes them.
type Book struct {
	// Client is any client of the API server that speaks JSON.
	Client rest.Interface
	// Namespace is where whereabouts keeps its objects.
	Namespace string
	// Node is this node's identity: what it booked it knows by it.
	Node string
}

const group = "/apis/whereabouts.cni.cncf.io/v1alpha1"

// Entry is one booking.
type Entry struct {
	Owner   ipam.Owner
	Address netip.Addr
	Range   netip.Prefix
	Of      ipam.WhereaboutsRange
}

// mark begins the container IDs of bookings, so that they are never taken for those of whereabouts.
const mark = legacy.Booked

func (b *Book) mine() string { return mark + b.Node + ":" }

func (b *Book) id(e Entry) string { return b.mine() + e.Owner.ContainerID }

// ifName is what an allocation says the interface is. Whereabouts hands on an allocation of the same Pod and interface to the next Pod of
// that name (pkg/allocate, AssignIP), while the old sandbox may still run here; so it is the name of no interface. The Pod stays what it
// is: the reconciler of whereabouts keeps what belongs to a Pod that lives, and looks at no interface.
func ifName(e Entry) string { return mark + e.Owner.IfName }

// Enter books an address. Holder says who has it by whereabouts, "" when it is booked.
func (b *Book) Enter(ctx context.Context, e Entry) (holder string, err error) {
	if e.Of.Reserves {
		if holder, err = b.reserve(ctx, e); err != nil || holder != "" {
			return holder, err
		}
	}
	holder, err = b.allocate(ctx, e)
	if holder != "" && e.Of.Reserves {
		err = b.unreserve(ctx, e)
	}
	return holder, err
}

// Leave ends a booking. One that is another's by now stays.
func (b *Book) Leave(ctx context.Context, e Entry) error {
	err := b.edit(ctx, e, func(all map[string]any, key string) (string, bool) {
		if one, ok := all[key].(map[string]any); !ok || one["id"] != b.id(e) {
			return "", false
		}
		delete(all, key)
		return "", true
	})
	if e.Of.Reserves {
		err = errors.Join(err, b.unreserve(ctx, e))
	}
	return err
}

// allocate writes the address into its range's pool.
func (b *Book) allocate(ctx context.Context, e Entry) (holder string, err error) {
	err = b.edit(ctx, e, func(all map[string]any, key string) (string, bool) {
		want := map[string]any{"id": b.id(e), "podref": e.Owner.Namespace + "/" + e.Owner.Pod, "ifname": ifName(e)}
		if one, ok := all[key].(map[string]any); ok {
			id, _ := one["id"].(string)
			switch {
			case id == want["id"] && one["podref"] == want["podref"] && one["ifname"] == want["ifname"]:
				return "", false
			case !strings.HasPrefix(id, mark): // that of another node of ours is left over: within tsunagu an address is one Pod's
				holder = fmt.Sprint("Pod ", one["podref"])
				return holder, false
			}
		}
		all[key] = want
		return "", true
	})
	return holder, err
}

// edit changes the allocations of a range at the version that was read, and makes the object if need be.
func (b *Book) edit(ctx context.Context, e Entry, change func(all map[string]any, key string) (holder string, write bool)) error {
	name := legacy.PoolName(e.Of.Network, e.Range)
	for try := range 100 {
		pool, err := b.get(ctx, "ippools", name)
		fresh := apierrors.IsNotFound(err)
		if fresh {
			pool, err = map[string]any{"apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool", "metadata": map[string]any{"name": name, "namespace": b.Namespace},
				"spec": map[string]any{"range": e.Range.Masked().String(), "allocations": map[string]any{}}}, nil
		}
		if err != nil {
			return fmt.Errorf("read IPPool %s of whereabouts: %w", name, err)
		}
		spec, all, key, err := place(pool, e)
		if err != nil {
			return fmt.Errorf("read IPPool %s of whereabouts: %w", name, err)
		}
		if _, write := change(all, key); !write {
			return nil
		}
		spec["allocations"] = all
		verb, at := http.MethodPut, name
		if fresh {
			verb, at = http.MethodPost, ""
		}
		err = b.write(ctx, verb, "ippools", at, pool)
		switch {
		case err == nil:
			return nil
		case !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err):
			return fmt.Errorf("write IPPool %s of whereabouts: %w", name, err)
		}
		select {
		case <-time.After(time.Duration(rand.IntN(5+5*min(try, 20))) * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("write IPPool %s of whereabouts: others change it all the time: %w", name, ctx.Err())
		}
	}
	return fmt.Errorf("write IPPool %s of whereabouts: others change it all the time", name)
}

// place finds the allocations, and the key of the entry's address: its offset from the first address as the pool writes it.
func place(pool map[string]any, e Entry) (spec, all map[string]any, key string, err error) {
	spec, _ = pool["spec"].(map[string]any)
	text, _ := spec["range"].(string)
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Masked() != e.Range.Masked() {
		return nil, nil, "", fmt.Errorf("its range is %q, and not %s", text, e.Range)
	}
	all, _ = spec["allocations"].(map[string]any)
	if all == nil {
		all = map[string]any{}
	}
	n := func(x netip.Addr) *big.Int { return new(big.Int).SetBytes(x.AsSlice()) }
	return spec, all, new(big.Int).Sub(n(e.Address), n(prefix.Addr())).String(), nil
}

// reserve makes the reservation over all ranges of the network.
func (b *Book) reserve(ctx context.Context, e Entry) (holder string, err error) {
	name := legacy.ReservationName(e.Of.Network, e.Address)
	want := map[string]any{"apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "OverlappingRangeIPReservation",
		"metadata": map[string]any{"name": name, "namespace": b.Namespace},
		"spec":     map[string]any{"containerid": b.id(e), "podref": e.Owner.Namespace + "/" + e.Owner.Pod, "ifname": e.Owner.IfName}}
	for range 10 {
		err = b.write(ctx, http.MethodPost, reservations, "", want)
		if err == nil {
			return "", nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return "", fmt.Errorf("create OverlappingRangeIPReservation %s of whereabouts: %w", name, err)
		}
		got, err := b.get(ctx, reservations, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read OverlappingRangeIPReservation %s of whereabouts: %w", name, err)
		}
		spec, _ := got["spec"].(map[string]any)
		switch id, _ := spec["containerid"].(string); {
		case id == b.id(e):
			return "", nil
		case !strings.HasPrefix(id, mark):
			return fmt.Sprint("Pod ", spec["podref"]), nil
		}
		got["spec"] = want["spec"]
		if err = b.write(ctx, http.MethodPut, reservations, name, got); err == nil {
			return "", nil
		} else if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("write OverlappingRangeIPReservation %s of whereabouts: %w", name, err)
		}
	}
	return "", fmt.Errorf("create OverlappingRangeIPReservation %s of whereabouts: others change it all the time", name)
}

const reservations = "overlappingrangeipreservations"

// unreserve deletes the reservation, if it is the entry's.
func (b *Book) unreserve(ctx context.Context, e Entry) error {
	name := legacy.ReservationName(e.Of.Network, e.Address)
	for range 10 {
		got, err := b.get(ctx, reservations, name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read OverlappingRangeIPReservation %s of whereabouts: %w", name, err)
		}
		if spec, _ := got["spec"].(map[string]any); spec["containerid"] != b.id(e) {
			return nil
		}
		meta, _ := got["metadata"].(map[string]any)
		body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "DeleteOptions",
			"preconditions": map[string]any{"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}})
		if err != nil {
			return err
		}
		err = b.Client.Delete().AbsPath(b.path(reservations, name)).Body(body).SetHeader("Content-Type", "application/json").Do(ctx).Error()
		switch {
		case err == nil, apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsConflict(err):
			return fmt.Errorf("delete OverlappingRangeIPReservation %s of whereabouts: %w", name, err)
		}
	}
	return nil
}

// Entries are all bookings of this node that are written anywhere.
func (b *Book) Entries(ctx context.Context) (all []Entry, err error) {
	raw, err := b.Client.Get().AbsPath(b.path("ippools", "")).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("list IPPools of whereabouts: %w", err)
	}
	var pools struct{ Items []legacy.IPPool }
	if err := json.Unmarshal(raw, &pools); err != nil {
		return nil, fmt.Errorf("list IPPools of whereabouts: %w", err)
	}
	reserved, err := b.reserved(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pools.Items {
		prefix, err := netip.ParsePrefix(p.Spec.Range)
		if err != nil {
			continue
		}
		network, ok := strings.CutSuffix(p.Name, strings.TrimPrefix(legacy.PoolName("", prefix), "-"))
		if !ok {
			continue
		}
		for key, one := range p.Spec.Allocations {
			container, ok := strings.CutPrefix(one.ID, b.mine())
			offset, number := new(big.Int).SetString(key, 10)
			if !ok || !number {
				continue
			}
			sum := offset.Add(offset, new(big.Int).SetBytes(prefix.Addr().AsSlice()))
			x, ok := netip.AddrFromSlice(sum.FillBytes(make([]byte, prefix.Addr().BitLen()/8)))
			if !ok {
				continue
			}
			namespace, pod, _ := strings.Cut(one.PodRef, "/")
			of := ipam.WhereaboutsRange{Network: strings.TrimSuffix(network, "-")}
			of.Reserves = reserved[legacy.ReservationName(of.Network, x)]
			all = append(all, Entry{Owner: ipam.Owner{Key: ipam.Key{ContainerID: container, IfName: strings.TrimPrefix(one.IfName, mark)}, Namespace: namespace, Pod: pod},
				Address: x, Range: prefix, Of: of})
		}
	}
	return all, nil
}

// reserved are the names of this node's reservations.
func (b *Book) reserved(ctx context.Context) (map[string]bool, error) {
	raw, err := b.Client.Get().AbsPath(b.path(reservations, "")).Do(ctx).Raw()
	if apierrors.IsNotFound(err) { // an old whereabouts has no such objects
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list OverlappingRangeIPReservations of whereabouts: %w", err)
	}
	var list struct{ Items []legacy.Reservation }
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("list OverlappingRangeIPReservations of whereabouts: %w", err)
	}
	ours := map[string]bool{}
	for _, r := range list.Items {
		if strings.HasPrefix(r.Spec.ContainerID, b.mine()) {
			ours[r.Name] = true
		}
	}
	return ours, nil
}

func (b *Book) path(resource, name string) string {
	at := group + "/namespaces/" + b.Namespace + "/" + resource
	if name != "" {
		at += "/" + name
	}
	return at
}

func (b *Book) get(ctx context.Context, resource, name string) (map[string]any, error) {
	raw, err := b.Client.Get().AbsPath(b.path(resource, name)).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var object map[string]any
	return object, json.Unmarshal(raw, &object)
}

func (b *Book) write(ctx context.Context, verb, resource, name string, object map[string]any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return b.Client.Verb(verb).AbsPath(b.path(resource, name)).Body(body).SetHeader("Content-Type", "application/json").Do(ctx).Error()
}
