package controller

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Reasons of an IPPool's Ready condition.
const (
	reasonServing  = "Serving"
	reasonFull     = "Full"
	reasonOutside  = "UsedOutside"
	reasonDraining = "Draining"
)

// tally is what a pool holds.
type tally struct {
	Used, Static, Blocks int64
	// Outside are addresses that interfaces hold in the pool's subnet but
	// not in its ranges any more: it was shrunk while in use. They stay with
	// their interfaces and are not given out again.
	Outside []netip.Addr
}

// countPool adds up blocks and addresses of the pool's domain. A block may
// serve several pools whose ranges overlap; each counts its own part. An
// address that is bound by an object of its own counts once, whatever the block
// around it says. What cannot be parsed is nobody's.
func countPool(p ipam.Pool, blocks []v1alpha1.IPBlock, addresses []v1alpha1.IPAddress) tally {
	var t tally
	seen := map[netip.Addr]bool{}
	see := func(a netip.Addr) {
		if seen[a] {
			return
		}
		seen[a] = true
		if p.Contains(a) {
			t.Used++
		} else if p.Prefix.Contains(a) {
			t.Outside = append(t.Outside, a)
		}
	}
	for i := range addresses {
		a, err := ipam.AddressFrom(&addresses[i])
		if err != nil || a.Domain != p.Domain || !p.Prefix.Contains(a.Address) {
			continue
		}
		t.Static++
		see(a.Address)
	}
	for i := range blocks {
		b, err := ipam.BlockFrom(&blocks[i])
		if err != nil || b.Domain != p.Domain || !p.Prefix.Overlaps(b.Prefix) {
			continue
		}
		t.Blocks++
		a := b.Prefix.Addr()
		for place := 0; a.IsValid() && b.Prefix.Contains(a) && place < 64; place++ {
			if b.Used&^b.Holes&(1<<place) != 0 {
				see(a)
			}
			a = a.Next()
		}
	}
	slices.SortFunc(t.Outside, netip.Addr.Compare)
	return t
}

// overlaps names the other pools of the domain that may give out the same
// addresses. That is allowed, blocks see to it that each is given out once,
// but seldom meant.
func overlaps(p *v1alpha1.IPPool, parsed ipam.Pool, others []v1alpha1.IPPool) []string {
	var names []string
	for _, o := range others {
		prefix, err := netip.ParsePrefix(o.Spec.CIDR)
		if o.Name != p.Name && o.Spec.Domain == p.Spec.Domain && err == nil && parsed.Prefix.Overlaps(prefix) {
			names = append(names, o.Name)
		}
	}
	slices.Sort(names)
	return names
}

// poolStatus is what an IPPool's status should say. wanted is false for a pool
// of a Network that no longer has the subnet.
func poolStatus(p *v1alpha1.IPPool, parsed ipam.Pool, bad error, t tally, overlap []string, wanted bool) (v1alpha1.IPPoolStatus, metav1.Condition) {
	s := v1alpha1.IPPoolStatus{
		ObservedGeneration: p.Generation,
		Used:               t.Used, Static: t.Static, Blocks: t.Blocks,
	}
	c := metav1.Condition{Type: v1alpha1.ConditionReady, ObservedGeneration: p.Generation, Status: metav1.ConditionTrue, Reason: reasonServing}
	if bad != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonInvalid, bad.Error()
		return s, c
	}
	s.Total = parsed.Size()
	s.Free = max(0, s.Total-s.Used)
	if s.Total == math.MaxInt64 {
		s.Free = s.Total // nobody uses up 2^63 addresses
	}
	var notes []string
	switch {
	case !wanted:
		c.Status, c.Reason = metav1.ConditionFalse, reasonDraining
		notes = append(notes, "its Network no longer has this subnet; it goes when no interface uses it")
	case len(t.Outside) > 0:
		c.Reason = reasonOutside
		notes = append(notes, fmt.Sprintf("%d addresses outside the ranges are in use and stay with their interfaces: %s", len(t.Outside), some(t.Outside)))
	case s.Free == 0:
		c.Reason = reasonFull
		notes = append(notes, fmt.Sprintf("all %d addresses are in use", s.Total))
	}
	if len(overlap) > 0 {
		notes = append(notes, "shares addresses with "+strings.Join(overlap, ", ")+"; each address is still given out only once")
	}
	c.Message = strings.Join(notes, "; ")
	return s, c
}

func some(all []netip.Addr) string {
	var words []string
	for i, a := range all {
		if i == 5 {
			words = append(words, "…")
			break
		}
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
