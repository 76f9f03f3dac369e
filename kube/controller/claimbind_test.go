package controller

import (
	"context"
	"net/netip"
	"testing"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// What a claim wants by number is bound before a Pod asks for it, unless
// somebody else has it.
func TestAddressesOfAClaimAreBoundBeforeItsPod(t *testing.T) {
	claim := claimOfTest("")
	claim.Spec.Addresses = []string{"10.0.0.5"}
	b := newBench(t, claim)
	store := iptest.NewStore()
	pool := ipam.Pool{Name: "p", Domain: "blue", Prefix: netip.MustParsePrefix("10.0.0.0/24")}
	b.r.book = store.As("controller")
	b.r.review = func(_ context.Context, namespace, network string, addresses []netip.Addr) attach.Reviewed {
		if namespace != "a" || network != "a/blue" || len(addresses) != 1 {
			t.Errorf("asked for %v of %s in %s", addresses, network, namespace)
		}
		return attach.Reviewed{Wants: []ipam.Want{{Pool: pool, Static: addresses[0]}}}
	}
	other, err := store.As("user").CreateAddress(t.Context(), ipam.Address{Meta: ipam.Meta{Name: "blue.10-0-0-5"}, Domain: "blue", Address: netip.MustParseAddr("10.0.0.5"), Reserved: "printer"})
	if err != nil {
		t.Fatal(err)
	}
	if result := b.look(0); result.RequeueAfter != bindAgain || len(b.claim().Status.Addresses) != 0 {
		t.Errorf("took what is reserved: %+v, %v", b.claim().Status, result)
	}
	if err := store.As("user").DropAddress(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	b.look(bindAgain)
	b.look(0)
	got, err := store.As("user").GetAddress(t.Context(), "blue.10-0-0-5")
	if err != nil || got.Claim != (ipam.ClaimRef{Namespace: "a", Name: "web-0", UID: "c1"}) || got.NodeUID != "" {
		t.Errorf("bound %+v, %v", got, err)
	}
	c := b.claim()
	if len(c.Status.Addresses) != 1 || c.Status.Addresses[0].Address != "10.0.0.5/24" || c.Status.MAC == "" {
		t.Errorf("the claim has %+v", c.Status)
	}
}

// Claims that no Pod uses cost no token of a quota, and so no more addresses are
// bound ahead of Pods than the quota has.
func TestClaimsAreNotBoundAheadBeyondTheQuota(t *testing.T) {
	claim, other := claimOfTest(""), claimOfTest("")
	claim.Spec.Addresses = []string{"10.0.0.5"}
	other.Name, other.UID = "idle", "c2"
	other.Status.Addresses = []v1alpha1.ClaimedAddress{{Address: "10.0.0.9/24", Domain: "blue", Pool: "p"}}
	b := newBench(t, claim, other)
	b.r.book = iptest.NewStore().As("controller")
	pool := ipam.Pool{Name: "p", Domain: "blue", Prefix: netip.MustParsePrefix("10.0.0.0/24")}
	pool.Quotas = map[string]int{"a": 1}
	b.r.review = func(_ context.Context, _, _ string, addresses []netip.Addr) attach.Reviewed {
		return attach.Reviewed{Wants: []ipam.Want{{Pool: pool, Static: addresses[0]}}}
	}
	if result := b.look(0); result.RequeueAfter != bindAgain || len(b.claim().Status.Addresses) != 0 {
		t.Errorf("bound beyond the quota: %+v, %v", b.claim().Status, result)
	}
	pool.Quotas["a"] = 2
	b.look(bindAgain)
	b.look(0)
	if c := b.claim(); len(c.Status.Addresses) != 1 {
		t.Errorf("not bound within the quota: %+v", c.Status)
	}
}
