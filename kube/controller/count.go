package controller

import (
	"cmp"
	"fmt"
	"maps"
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
	// Used are addresses that are bound or in use, Taken those of them that the
	// pool would give to who asks for any: statics of staticRanges are not.
	Used, Taken, Static, Blocks int64
	// Conflicts are addresses that strangers use.
	Conflicts int64
	// Namespaces are how many bound addresses each has, as far as objects tell.
	Namespaces map[string]int64
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
	t := tally{Namespaces: map[string]int64{}}
	seen := map[netip.Addr]bool{}
	see := func(a netip.Addr) {
		if seen[a] {
			return
		}
		seen[a] = true
		if p.GivesAny(a) {
			t.Taken++
		}
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
		if a.Quarantine != nil {
			t.Conflicts++
		}
		if ns := cmp.Or(a.Owner.Namespace, a.Claim.Namespace); ns != "" {
			t.Namespaces[ns]++
		}
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

// surroundings are what other pools mean to a pool.
type surroundings struct {
	// Overlaps are pools that may give out the same addresses.
	Overlaps []string
	// Fallback says what is wrong with the pools that it falls back to.
	Fallback []string
}

// fallbacks says which of the pools that a pool falls back to are of no use.
func fallbacks(parsed ipam.Pool, others []v1alpha1.IPPool) (notes []string) {
	for _, name := range parsed.Fallback {
		i := slices.IndexFunc(others, func(o v1alpha1.IPPool) bool { return o.Name == name })
		switch {
		case name == parsed.Name:
			notes = append(notes, "fallback names the pool itself")
		case i < 0:
			notes = append(notes, "fallback "+name+" does not exist and is passed over")
		default:
			if prefix, err := netip.ParsePrefix(others[i].Spec.CIDR); err == nil && prefix.Addr().BitLen() != parsed.Prefix.Addr().BitLen() {
				notes = append(notes, "fallback "+name+" is of the other address family and is passed over")
			}
		}
	}
	return notes
}

// poolStatus is what an IPPool's status should say. wanted is false for a pool
// of a Network that no longer has the subnet.
func poolStatus(p *v1alpha1.IPPool, parsed ipam.Pool, bad error, t tally, around surroundings, wanted bool) (v1alpha1.IPPoolStatus, metav1.Condition) {
	s := v1alpha1.IPPoolStatus{
		ObservedGeneration: p.Generation,
		Used:               t.Used, Static: t.Static, Conflicts: t.Conflicts, Blocks: t.Blocks,
	}
	c := metav1.Condition{Type: v1alpha1.ConditionReady, ObservedGeneration: p.Generation, Status: metav1.ConditionTrue, Reason: reasonServing}
	if bad != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonInvalid, bad.Error()
		return s, c
	}
	s.Total = parsed.Size()
	s.Free = max(0, s.Total-t.Taken)
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
		notes = append(notes, full(s, t))
	}
	if len(around.Overlaps) > 0 {
		notes = append(notes, "shares addresses with "+strings.Join(around.Overlaps, ", ")+"; each address is still given out only once")
	}
	notes = append(notes, around.Fallback...)
	c.Message = strings.Join(notes, "; ")
	return s, c
}

// full says how a pool is full, and who binds most of it one by one.
func full(s v1alpha1.IPPoolStatus, t tally) string {
	note := fmt.Sprintf("all %d addresses are in use or bound", s.Total)
	if s.Total == 0 {
		note = "it gives addresses only to who asks for one of staticRanges"
	}
	names := slices.SortedFunc(maps.Keys(t.Namespaces), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.Namespaces[b], t.Namespaces[a]), cmp.Compare(a, b))
	})
	for i, ns := range names[:min(3, len(names))] {
		word := ", "
		if i == 0 {
			word = "; bound one by one most in namespaces "
		}
		note += fmt.Sprintf("%s%s (%d)", word, ns, t.Namespaces[ns])
	}
	return note
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
