package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kube/admission"
)

// writeEvery is the least time between two writes of one pool's status: its
// counts change with every Pod, and are for people.
const writeEvery = time.Second

// books reads what pools hold, from the cache.
type books struct{ client.Reader }

// domainField indexes blocks and addresses by their domain.
const domainField = admission.DomainField

// Count is what admission asks (admission.Books).
func (b *books) Count(ctx context.Context, p ipam.Pool) (int64, []netip.Addr, error) {
	t, err := b.count(ctx, p)
	return t.Used, t.Outside, err
}

func (b *books) count(ctx context.Context, p ipam.Pool) (tally, error) {
	var blocks v1alpha1.IPBlockList
	if err := b.List(ctx, &blocks, client.MatchingFields{domainField: p.Domain}, client.UnsafeDisableDeepCopy); err != nil {
		return tally{}, err
	}
	var addresses v1alpha1.IPAddressList
	if err := b.List(ctx, &addresses, client.MatchingFields{domainField: p.Domain}, client.UnsafeDisableDeepCopy); err != nil {
		return tally{}, err
	}
	return countPool(p, blocks.Items, addresses.Items), nil
}

// used is the number of addresses of p that interfaces hold, inside its ranges
// or not; what cannot be told counts as used.
func (b *books) used(ctx context.Context, p *v1alpha1.IPPool) int64 {
	parsed, err := ipam.ParsePool(*p)
	if err != nil {
		return 0 // nothing was ever given out of it
	}
	t, err := b.count(ctx, parsed)
	if err != nil {
		return 1
	}
	return t.Used + int64(len(t.Outside))
}

// pools keeps the status of IPPools.
type pools struct {
	client.Client
	log   *slog.Logger
	books *books
	gauge gauge

	mu    sync.Mutex
	wrote map[string]time.Time
}

// Reconcile counts one pool.
func (r *pools) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return settle(r.reconcile(ctx, req))
}

func (r *pools) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if wait := r.wait(req.Name); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	var p v1alpha1.IPPool
	if err := r.Get(ctx, req.NamespacedName, &p); err != nil {
		r.forget(req.Name)
		r.gauge.forget(req.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	parsed, bad := ipam.ParsePool(p)
	var t tally
	var around surroundings
	if bad == nil {
		var err error
		if t, err = r.books.count(ctx, parsed); err != nil {
			return ctrl.Result{}, err
		}
		var others v1alpha1.IPPoolList
		if err := r.List(ctx, &others, client.UnsafeDisableDeepCopy); err != nil {
			return ctrl.Result{}, err
		}
		around = surroundings{overlaps(&p, parsed, others.Items), fallbacks(parsed, others.Items)}
	}
	wanted, err := r.wanted(ctx, &p)
	if err != nil {
		return ctrl.Result{}, err
	}
	status, condition := poolStatus(&p, parsed, bad, t, around, wanted)
	status.Conditions = p.DeepCopy().Status.Conditions
	meta.SetStatusCondition(&status.Conditions, condition)
	r.gauge.set(p.Name, status)
	if equality.Semantic.DeepEqual(p.Status, status) {
		return ctrl.Result{}, nil
	}
	r.note(req.Name)
	next := p.DeepCopy()
	next.Status = status
	if err := r.Status().Update(ctx, next); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("write the status of IPPool %s: %w", p.Name, err))
	}
	return ctrl.Result{}, nil
}

// wanted tells whether the Network that a pool was made for still has its
// subnet. Pools of users are always wanted.
func (r *pools) wanted(ctx context.Context, p *v1alpha1.IPPool) (bool, error) {
	owner := metav1.GetControllerOf(p)
	if owner == nil || owner.Kind != "Network" {
		return true, nil
	}
	var net v1alpha1.Network
	if err := r.Get(ctx, types.NamespacedName{Name: owner.Name}, &net); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	for _, s := range net.Spec.Subnets {
		if poolName(net.Name, s.CIDR) == p.Name {
			return true, nil
		}
	}
	return false, nil
}

func (r *pools) wait(name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.wrote[name].Add(writeEvery))
}

func (r *pools) note(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrote[name] = time.Now()
}

func (r *pools) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wrote, name)
}
