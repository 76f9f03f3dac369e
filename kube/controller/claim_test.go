package controller

import (
	"log/slog"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// bench is a claim and what looks after it, at a time of the test's own.
type bench struct {
	*testing.T
	c   client.Client
	r   *claims
	now time.Time
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	b := &bench{T: t, c: cluster(t, objects...), now: time.Now()}
	b.r = &claims{Client: b.c, live: b.c, events: events.NewFakeRecorder(10), log: slog.New(slog.DiscardHandler),
		now: func() time.Time { return b.now }, lone: map[types.UID]time.Time{}}
	return b
}

func (b *bench) look(after time.Duration) ctrl.Result {
	b.Helper()
	b.now = b.now.Add(after)
	result, err := b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "a", Name: "web-0"}})
	if err != nil {
		b.Fatal(err)
	}
	return result
}

func (b *bench) claim() (c v1alpha1.IPClaim) {
	b.Helper()
	if err := b.c.Get(b.Context(), types.NamespacedName{Namespace: "a", Name: "web-0"}, &c); err != nil {
		b.Fatal(err)
	}
	return c
}

// own makes somebody the owner of an address, or nobody.
func (b *bench) own(a *v1alpha1.IPAddress, o v1alpha1.AddressOwner) {
	b.Helper()
	if err := b.c.Get(b.Context(), client.ObjectKeyFromObject(a), a); err != nil {
		b.Fatal(err)
	}
	a.Spec.Owner = o
	if err := b.c.Update(b.Context(), a); err != nil {
		b.Fatal(err)
	}
}

func claimOfTest(retention string, addresses ...string) *v1alpha1.IPClaim {
	c := &v1alpha1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web-0", UID: "c1"}, Spec: v1alpha1.IPClaimSpec{Network: "a/blue", Retention: retention}}
	for _, a := range addresses {
		c.Status.Addresses = append(c.Status.Addresses, v1alpha1.ClaimedAddress{Address: a + "/24", Domain: "blue"})
	}
	return c
}

func claimedAddress(a, uid string) *v1alpha1.IPAddress {
	o := address("blue", a)
	o.UID = types.UID("uid-" + a)
	o.Spec.Owner = v1alpha1.AddressOwner{Node: "n1", NodeUID: "u1", Namespace: "a", Pod: "web-0", ContainerID: "x", Interface: "net1"}
	o.Spec.Claim = v1alpha1.ClaimReference{Namespace: "a", Name: "web-0", UID: uid}
	return &o
}

func TestClaimSaysWhoUsesIt(t *testing.T) {
	a := claimedAddress("10.0.0.5", "c1")
	b := newBench(t, claimOfTest("", "10.0.0.5"), a)
	b.look(0)
	got := b.claim()
	if got.Status.Pod != "web-0" || got.Status.Node != "n1" || got.Status.Idle != nil || got.Status.Conditions[0].Reason != reasonInUse || len(got.Status.Addresses) != 1 {
		t.Errorf("in use: %+v", got.Status)
	}
	version := got.ResourceVersion
	b.look(time.Second)
	if b.claim().ResourceVersion != version {
		t.Error("written again without need")
	}
	b.own(a, v1alpha1.AddressOwner{})
	b.look(time.Second)
	got = b.claim()
	if got.Status.Pod != "" || got.Status.Node != "" || got.Status.Idle == nil || got.Status.Conditions[0].Reason != reasonIdle || len(got.Status.Addresses) != 1 {
		t.Errorf("idle: %+v", got.Status)
	}
	if result := b.look(100 * time.Hour); result.RequeueAfter != 0 || !exists(t, b.c, a) {
		t.Error("a claim without a duration ends")
	}
	if err := b.c.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b.look(0)
	if got = b.claim(); got.Status.Conditions[0].Reason != reasonLost {
		t.Errorf("without its address: %+v", got.Status)
	}
}

func TestClaimEndsWhenItsTimeIsOver(t *testing.T) {
	a := claimedAddress("10.0.0.5", "c1")
	claim := claimOfTest("10s", "10.0.0.5")
	b := newBench(t, claim, a)
	b.look(0)
	b.look(time.Hour) // in use
	b.own(a, v1alpha1.AddressOwner{})
	if result := b.look(0); result.RequeueAfter <= 9*time.Second || result.RequeueAfter > 10*time.Second {
		t.Errorf("looks again after %v", result.RequeueAfter)
	}
	b.look(5 * time.Second)
	if !exists(t, b.c, claim) {
		t.Fatal("it ended too early")
	}
	b.look(6 * time.Second)
	if exists(t, b.c, claim) {
		t.Fatal("it did not end")
	}
	b.look(0)
	if exists(t, b.c, a) {
		t.Error("its address is left")
	}
}

func TestAddressesOfAClaimThatIsGone(t *testing.T) {
	used, idle := claimedAddress("10.0.0.5", "c0"), claimedAddress("10.0.0.6", "c0")
	idle.Spec.Owner = v1alpha1.AddressOwner{}
	mine := claimedAddress("10.0.0.7", "c1")
	mine.Spec.Owner = v1alpha1.AddressOwner{}
	b := newBench(t, claimOfTest("", "10.0.0.7"), used, idle, mine) // a claim of the name was made anew
	b.look(0)
	if exists(t, b.c, idle) || !exists(t, b.c, used) || !exists(t, b.c, mine) {
		t.Error("idle must go, what is used and what the new claim has must stay")
	}
	b.own(used, v1alpha1.AddressOwner{})
	b.look(0)
	if exists(t, b.c, used) {
		t.Error("it stays when nobody uses it any more")
	}
}

// An address that was made in vain is left to its agent for a while: the claim
// may be about to list it.
func TestAddressesThatNoClaimLists(t *testing.T) {
	a := claimedAddress("10.0.0.5", "c1")
	b := newBench(t, claimOfTest(""), a)
	b.look(0)
	b.look(time.Hour)
	if !exists(t, b.c, a) {
		t.Fatal("taken from an interface")
	}
	b.own(a, v1alpha1.AddressOwner{})
	if result := b.look(0); result.RequeueAfter != loneFor || !exists(t, b.c, a) {
		t.Fatalf("gone at the first look, or not looked at again: %v", result)
	}
	b.look(loneFor)
	if exists(t, b.c, a) {
		t.Error("it is left")
	}
}

func TestSweepTakesTheOwnerOffAClaimsAddress(t *testing.T) {
	a := claimedAddress("10.0.0.5", "c1")
	reserved := claimedAddress("10.0.0.6", "c1")
	reserved.Spec.Owner = v1alpha1.AddressOwner{}
	c := cluster(t, claimOfTest("", "10.0.0.5"), a, reserved)
	g := sweeper(c)
	now := time.Now()
	for range 3 {
		if err := g.sweep(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if !exists(t, c, a) || !exists(t, c, reserved) {
		t.Fatal("the claim lost its address")
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil || a.Spec.Owner != (v1alpha1.AddressOwner{}) || a.Spec.Claim.UID != "c1" {
		t.Errorf("%+v, %v", a.Spec, err)
	}
}
