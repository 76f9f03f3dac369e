package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// over tells whether the quarantine of an address is at its end. The node's clock says when the stranger was seen and may be wrong: no
// quarantine ends before its time has passed since the object was made. That it ends too late or too early endangers nothing, because
// whoever gets the address next looks for strangers again.
func over(a *v1alpha1.IPAddress, now time.Time) bool {
	q := a.Spec.Quarantine
	if q == nil || a.Spec.Owner != (v1alpha1.AddressOwner{}) || a.Spec.Claim.UID != "" || a.Spec.Reserved != "" {
		return false
	}
	since := a.CreationTimestamp.Time
	if seen := q.Seen.Time; seen.After(since) && seen.Before(now) {
		since = seen
	}
	return now.Sub(since) >= time.Duration(q.Seconds)*time.Second
}

// sweepQuarantines gives addresses back that strangers were seen to use a while ago.
func (g *garbage) sweepQuarantines(ctx context.Context, now time.Time) error {
	var all v1alpha1.IPAddressList
	if err := g.List(ctx, &all); err != nil {
		return fmt.Errorf("list addresses in quarantine: %w", err)
	}
	var errs []error
	for i := range all.Items {
		a := &all.Items[i]
		if !over(a, now) {
			continue
		}
		uid, version := a.UID, a.ResourceVersion
		if err := g.Delete(ctx, a, client.Preconditions{UID: &uid, ResourceVersion: &version}); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("end the quarantine of IPAddress %s: %w", a.Name, err)) // changed since: the next sweep looks again
			continue
		}
		g.log.Info("the quarantine of an address is over", "address", a.Spec.Address, "pool", a.Spec.Pool, "stranger", a.Spec.Quarantine.MAC)
	}
	return errors.Join(errs...)
}
