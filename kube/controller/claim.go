package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// claimField indexes addresses by their claim, as namespace/name.
const claimField = "spec.claim"

// loneFor is how long an address that its claim does not list must look so
// before it is taken for one that was made in vain.
const loneFor = 15 * time.Second

// claims keeps the status of IPClaims, ends those whose time is over, and
// deletes addresses whose claim is gone. It gives no address to anybody: who
// uses one is between agents (ipam/claimed.go). Start at Reconcile.
type claims struct {
	client.Client               // reads are from the cache: hints only
	live          client.Reader // reads are not: evidence
	events        events.EventRecorder
	log           *slog.Logger
	now           func() time.Time
	// review and book are what addresses are bound by that claims want; nil
	// leaves them to Pods.
	review review
	book   ipam.Book

	mu   sync.Mutex
	lone map[types.UID]time.Time // addresses, since when no claim lists them
}

// Reconcile looks at one claim and all addresses that name it.
func (r *claims) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return settle(r.reconcile(ctx, req.NamespacedName))
}

func (r *claims) reconcile(ctx context.Context, name types.NamespacedName) (ctrl.Result, error) {
	var all v1alpha1.IPAddressList
	if err := r.List(ctx, &all, client.MatchingFields{claimField: name.String()}); err != nil {
		return ctrl.Result{}, err
	}
	var claim v1alpha1.IPClaim
	err := r.Get(ctx, name, &claim)
	if err != nil && !apierrors.IsNotFound(err) {
		return ctrl.Result{}, err
	}
	own, others := belonging(&claim, all.Items)
	var again time.Duration
	var errs []error
	for _, a := range others {
		wait, err := r.collect(ctx, name, a)
		errs, again = append(errs, err), soonest(again, wait)
	}
	if claim.UID != "" && claim.DeletionTimestamp == nil {
		wait, err := r.keep(ctx, &claim, own)
		errs, again = append(errs, err), soonest(again, wait)
		wait, err = r.bind(ctx, &claim)
		errs, again = append(errs, err), soonest(again, wait)
	}
	return ctrl.Result{RequeueAfter: again}, errors.Join(errs...)
}

// soonest is the earlier of two moments to look again; 0 is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// belonging tells addresses that the claim lists from those that only name it,
// or one before it.
func belonging(claim *v1alpha1.IPClaim, all []v1alpha1.IPAddress) (own, others []*v1alpha1.IPAddress) {
	c, err := ipam.ClaimFrom(claim)
	for i := range all {
		a, bad := ipam.AddressFrom(&all[i])
		if claim.UID != "" && (err != nil || bad != nil || c.Lists(a)) {
			own = append(own, &all[i]) // what cannot be read is left alone
		} else {
			others = append(others, &all[i])
		}
	}
	return own, others
}

// collect deletes an address that no claim lists, when nobody uses it and it
// was so at two looks, the second of which is live. The delete names the
// version that was read, in case somebody begins to use it.
func (r *claims) collect(ctx context.Context, name types.NamespacedName, a *v1alpha1.IPAddress) (again time.Duration, err error) {
	if a.Spec.Owner != (v1alpha1.AddressOwner{}) {
		r.forget(a.UID)
		return 0, nil // it comes back when that changes
	}
	var claim v1alpha1.IPClaim
	if err := r.live.Get(ctx, name, &claim); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("look for IPClaim %s: %w", name, err)
	}
	if string(claim.UID) == a.Spec.Claim.UID && claim.UID != "" {
		if own, _ := belonging(&claim, []v1alpha1.IPAddress{*a}); len(own) > 0 {
			r.forget(a.UID)
			return 0, nil
		}
		if left := loneFor - r.loneSince(a.UID); left > 0 {
			return left, nil
		}
	}
	uid, version := a.UID, a.ResourceVersion
	err = r.Delete(ctx, a, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return 0, nil // what changed is seen next
	}
	if err != nil {
		return 0, fmt.Errorf("release address %s of IPClaim %s: %w", a.Spec.Address, name, err)
	}
	r.forget(a.UID)
	r.log.Info("address released: its claim is gone", "address", a.Spec.Address, "domain", a.Spec.Domain, "claim", name.String())
	return 0, nil
}

func (r *claims) loneSince(uid types.UID) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, ok := r.lone[uid]
	if !ok {
		since = r.now()
		r.lone[uid] = since
	}
	return r.now().Sub(since)
}

func (r *claims) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lone, uid)
}

// keep writes a claim's status and ends the claim when its time is over.
func (r *claims) keep(ctx context.Context, claim *v1alpha1.IPClaim, own []*v1alpha1.IPAddress) (again time.Duration, err error) {
	want := claimStatus(claim, own, r.now())
	if !sameUse(claim.Status, want) {
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": claim.UID}, "status": map[string]any{
			"pod": orNull(want.Pod), "node": orNull(want.Node), "idle": want.Idle, "conditions": want.Conditions,
		}})
		if err != nil {
			return 0, fmt.Errorf("render the status of IPClaim %s/%s: %w", claim.Namespace, claim.Name, err)
		}
		if err := r.Status().Patch(ctx, claim.DeepCopy(), client.RawPatch(types.MergePatchType, body)); err != nil {
			return 0, client.IgnoreNotFound(fmt.Errorf("write the status of IPClaim %s/%s: %w", claim.Namespace, claim.Name, err))
		}
	}
	keepFor, err := ipam.ParseRetention(claim.Spec.Retention)
	if err != nil || keepFor == 0 || want.Idle == nil {
		return 0, nil
	}
	if left := keepFor - r.now().Sub(want.Idle.Time); left > 0 {
		return left, nil
	}
	return 0, r.expire(ctx, claim, own, keepFor)
}

// expire deletes a claim that nobody has used for as long as it was to be
// kept.
func (r *claims) expire(ctx context.Context, claim *v1alpha1.IPClaim, own []*v1alpha1.IPAddress, keptFor time.Duration) error {
	for _, a := range own {
		var now v1alpha1.IPAddress
		err := r.live.Get(ctx, client.ObjectKeyFromObject(a), &now)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("look at address %s: %w", a.Name, err)
		}
		if err == nil && now.Spec.Owner != (v1alpha1.AddressOwner{}) {
			return nil // it is used again; the cache will tell
		}
	}
	uid := claim.UID
	err := r.Delete(ctx, claim, client.Preconditions{UID: &uid})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end IPClaim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	r.events.Eventf(claim, nil, corev1.EventTypeNormal, "Expired", "Release", "no Pod has used it for %s (spec.retention)", keptFor)
	r.log.Info("claim ended: no Pod has used it for long enough", "claim", claim.Namespace+"/"+claim.Name, "retention", keptFor.String())
	return nil
}

// sameUse compares the part of a status that is the controller's.
func sameUse(have, want v1alpha1.IPClaimStatus) bool {
	return have.Pod == want.Pod && have.Node == want.Node && have.Idle.Equal(want.Idle) && equality.Semantic.DeepEqual(have.Conditions, want.Conditions)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// stamp is a moment as the API keeps it.
func stamp(t time.Time) *metav1.Time { return new(metav1.NewTime(t.Truncate(time.Second))) }
