package iptest

import (
	"net"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// An address of a claim changes hands by the version that was read.
func (c conformance) hands() {
	a := ipam.Address{Meta: ipam.Meta{Name: c.name("10.3.0.7")}, Domain: c.domain, Address: netip.MustParseAddr("10.3.0.7"), Pool: "p",
		Node: "n", NodeUID: c.domain + "-hand", Owner: ipam.Owner{Key: ipam.Key{ContainerID: "c", IfName: "net1"}, Namespace: "ns", Pod: "pod", UID: "u"},
		Claim: ipam.ClaimRef{Namespace: "ns", Name: "claim", UID: "claim-uid"}}
	made, err := c.s.CreateAddress(c.ctx, a)
	if err != nil {
		c.Fatal(err)
	}
	// To another interface, not to nobody: a controller that runs beside this
	// would rightly delete it then, because there is no such claim.
	next := made
	next.Node, next.NodeUID, next.Owner = "m", c.domain+"-other", ipam.Owner{Key: ipam.Key{ContainerID: "d", IfName: "net1"}, Namespace: "ns", Pod: "pod", UID: "v"}
	passed, err := c.s.UpdateAddress(c.ctx, next)
	if err != nil || passed.Claim != a.Claim || passed.NodeUID != next.NodeUID || passed.Owner != next.Owner || passed.UID != made.UID {
		c.Fatalf("passed on %+v, %v", passed, err)
	}
	_, err = c.s.UpdateAddress(c.ctx, made) // what was read is old
	c.is(err, ipam.ErrConflict)
	c.is(c.s.DropAddress(c.ctx, made), ipam.ErrConflict)
	if mine, err := c.s.ListAddresses(c.ctx, ipam.Scope{NodeUID: made.NodeUID}); err != nil || len(mine) != 0 {
		c.Fatalf("an address that was passed on is still the node's: %v, %v", mine, err)
	}
	if err := c.s.DropAddress(c.ctx, passed); err != nil {
		c.Fatal(err)
	}
	c.is(c.s.DropAddress(c.ctx, passed), ipam.ErrNotFound)
	_, err = c.s.UpdateAddress(c.ctx, passed)
	c.is(err, ipam.ErrNotFound)
}

// A claim is a lock of its name; what it has is written by version.
func (c conformance) claims() {
	want := ipam.Claim{Meta: ipam.Meta{Name: c.domain + "-claim"}, Namespace: "default", Network: "default/blue", Interface: "net1", Pod: "web-0",
		Retention: "24h", Wants: []netip.Addr{netip.MustParseAddr("10.3.0.9")}, Made: true}
	_, err := c.s.GetClaim(c.ctx, want.Namespace, want.Name)
	c.is(err, ipam.ErrNotFound)
	made, err := c.s.CreateClaim(c.ctx, want)
	if err != nil || made.UID == "" || made.Network != want.Network || made.Interface != "net1" || made.Pod != "web-0" || !made.Made || len(made.Wants) != 1 || len(made.Has) != 0 {
		c.Fatalf("created %+v, %v", made, err)
	}
	_, err = c.s.CreateClaim(c.ctx, want)
	c.is(err, ipam.ErrExists)
	has := made
	has.Has = []ipam.ClaimedAddress{{Address: netip.MustParsePrefix("10.3.0.9/24"), Domain: c.domain, Pool: "p"}}
	has.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 7}
	var got ipam.Claim
	c.beside(func() error { // a controller may write who uses it, at the same time
		now, err := c.s.GetClaim(c.ctx, want.Namespace, want.Name)
		if err == nil {
			has.Meta = now.Meta
			got, err = c.s.UpdateClaim(c.ctx, has)
		}
		return err
	})
	if len(got.Has) != 1 || got.Has[0] != has.Has[0] || got.MAC.String() != has.MAC.String() || got.Version == made.Version || got.Network != want.Network {
		c.Fatalf("updated %+v", got)
	}
	_, err = c.s.UpdateClaim(c.ctx, has)
	c.is(err, ipam.ErrConflict)
	owned := got
	owned.Holder = ipam.Holder{APIVersion: "v1", Kind: "ConfigMap", Name: c.domain, UID: "00000000-0000-0000-0000-000000000000"}
	_, err = c.s.OwnClaim(c.ctx, made)
	c.is(err, ipam.ErrConflict)
	c.beside(func() error {
		now, err := c.s.GetClaim(c.ctx, want.Namespace, want.Name)
		if err == nil {
			now.Holder = owned.Holder
			got, err = c.s.OwnClaim(c.ctx, now)
		}
		return err
	})
	if got.Holder.Name != c.domain || len(got.Has) != 1 {
		c.Fatalf("owned %+v", got)
	}
}

// beside does something until nobody else was faster.
func (c conformance) beside(f func() error) {
	c.Helper()
	for range 20 {
		err := f()
		if err == nil {
			return
		}
		c.is(err, ipam.ErrConflict)
	}
	c.Fatal("somebody else was faster 20 times")
}
