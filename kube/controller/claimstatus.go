package controller

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Reasons of an IPClaim's Ready condition.
const (
	reasonInUse     = "InUse"
	reasonIdle      = "Idle"
	reasonNeverUsed = "NeverUsed"
	reasonLost      = "AddressMissing"
)

// claimStatus is what an IPClaim's status should say of its use. own are the
// addresses that are there; the list of what should be is the agents'.
func claimStatus(claim *v1alpha1.IPClaim, own []*v1alpha1.IPAddress, now time.Time) v1alpha1.IPClaimStatus {
	s := *claim.Status.DeepCopy()
	s.Pod, s.Node = "", ""
	for _, a := range own {
		if o := a.Spec.Owner; o != (v1alpha1.AddressOwner{}) {
			s.Pod, s.Node = o.Pod, o.Node
		}
	}
	c := metav1.Condition{Type: v1alpha1.ConditionReady, ObservedGeneration: claim.Generation, Status: metav1.ConditionTrue, LastTransitionTime: *stamp(now)}
	switch {
	case s.Pod != "":
		s.Idle = nil
		c.Reason, c.Message = reasonInUse, fmt.Sprintf("Pod %s on node %s uses it", s.Pod, s.Node)
	case s.Idle == nil:
		s.Idle = stamp(now)
	}
	missing := missingOf(s.Addresses, own)
	switch {
	case len(missing) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, reasonLost
		c.Message = "it lists " + strings.Join(missing, ", ") + ", and there is no IPAddress of it: the next Pod binds it again, or gets another"
	case s.Pod != "":
	case len(s.Addresses) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonNeverUsed, "its first Pod gets it addresses"
	default:
		c.Reason, c.Message = reasonIdle, "its addresses wait for the next Pod"
		if claim.Spec.Retention != "" && claim.Spec.Retention != v1alpha1.RetainWhileOwnerExists {
			c.Message += ", kept: " + claim.Spec.Retention
		}
	}
	meta.SetStatusCondition(&s.Conditions, c)
	return s
}

// missingOf are the listed addresses without an object.
func missingOf(listed []v1alpha1.ClaimedAddress, own []*v1alpha1.IPAddress) (missing []string) {
	for _, e := range listed {
		bare, _, _ := strings.Cut(e.Address, "/")
		there := false
		for _, a := range own {
			there = there || a.Spec.Domain == e.Domain && a.Spec.Address == bare
		}
		if !there {
			missing = append(missing, bare)
		}
	}
	return missing
}
