package ipam

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Claiming is the claim whose addresses an interface takes.
type Claiming struct {
	Namespace, Name string
	// Make is the claim to be made if there is none; nil refuses.
	Make *Claim
	// Migrates: the interface is that of a virtual machine which runs on
	// another node and is on its way to this one.
	Migrates bool
	// MAC that the interface will have whatever the claim says; it becomes the
	// claim's if that has none.
	MAC net.HardwareAddr
}

// claimed gets the addresses of a claim for the wants that name it, all or
// none: what it has got when it fails is given up by the caller.
//
// Why this is safe: an Address with a claim belongs to it until the object is
// deleted, and is used by the interface in its owner only. An interface
// becomes the owner by a write that names the version at which nobody was
// (hold), and stops being it by a write that names the version at which it
// was (relinquish); a write that arrives late names an old version. Whoever
// finds another owner waits: that its Pod is gone proves nothing, only its
// agent, or the controller with evidence that the node is gone, ends its use.
// New addresses are bound like static ones (bind) and then listed in the
// claim by version as well, so one of two that do so at once finds out, and
// gives its own back. An address that no claim lists is used by nobody: the
// agent, or after its end the controller, deletes it, by version too, because
// it may be listed by a write under way.
//
// A virtual machine that migrates has two interfaces for a while, and says so:
// then a second one on another node is written beside the owner (Incoming), by
// version as well, never a third, and becomes the owner in the write by which
// the owner's use ends.
func (a *Allocator) claimed(ctx context.Context, owner Owner, requests []request) error {
	cl := claimingOf(requests)
	unlock, err := a.lockName(ctx, "claim "+cl.Namespace+"/"+cl.Name)
	if err != nil {
		return unavailable("look for IPClaim "+cl.Name, err)
	}
	defer unlock()
	for {
		c, err := a.lookup(ctx, owner, cl)
		if err != nil {
			return err
		}
		again, err := a.claimOnce(ctx, owner, requests, c, cl)
		if err != nil || !again {
			return err
		}
	}
}

func claimingOf(requests []request) *Claiming {
	for i := range requests {
		if requests[i].Claim != nil {
			return requests[i].Claim
		}
	}
	return nil
}

// claimOnce goes by one version of the claim. It wants to be called again if
// somebody else changed what the claim has.
func (a *Allocator) claimOnce(ctx context.Context, owner Owner, requests []request, c Claim, cl *Claiming) (again bool, err error) {
	has, err := c.matched(requests)
	if err != nil {
		return false, err
	}
	next := c
	next.Has = slices.Clone(c.Has)
	for i := range requests {
		r := &requests[i]
		if r.Claim == nil || r.right.Address.IsValid() {
			continue
		}
		if has[i] >= 0 {
			x := c.Has[has[i]].Address.Addr()
			if r.right, err = a.hold(ctx, owner, r.that(x), c, x, cl.Migrates); err == nil {
				continue
			}
			if !errors.Is(err, errNotOurs) {
				return false, err
			}
			a.Logger.Warn("an address that a claim lists belongs to it no more", "address", x, "claim", c.Namespace+"/"+c.Name)
		}
		if r.right, err = a.fresh(ctx, owner, r, next); err != nil {
			return false, err
		}
		entry := ClaimedAddress{Address: r.right.Address, Domain: r.right.domain, Pool: r.right.Pool}
		if has[i] >= 0 {
			next.Has[has[i]] = entry
		} else {
			next.Has = append(next.Has, entry)
		}
	}
	next.MAC = c.mac(cl, requests)
	for i := range requests {
		if requests[i].Claim != nil {
			requests[i].right.MAC = next.MAC
		}
	}
	if !slices.Equal(next.Has, c.Has) || len(c.MAC) == 0 {
		return a.list(ctx, c, next, requests)
	}
	return false, nil
}

// list writes what the claim has now. If somebody else was faster the new
// addresses are given up, and all begins again.
func (a *Allocator) list(ctx context.Context, before, next Claim, requests []request) (again bool, err error) {
	doing := "write IPClaim " + next.Namespace + "/" + next.Name
	for {
		if _, err = a.Store.UpdateClaim(ctx, next); err == nil {
			for i := range requests {
				requests[i].right.fresh = false
			}
			return false, nil
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			return false, unavailable(doing, err)
		}
		now, err := a.Store.GetClaim(ctx, next.Namespace, next.Name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return false, unavailable(doing, err)
		}
		same := err == nil && now.UID == before.UID && !now.Going
		if same && slices.Equal(now.Has, before.Has) {
			next.Meta = now.Meta // something else of it was written
			continue
		}
		a.withdrawRights(requests, now.UID != before.UID)
		return true, nil
	}
}

// withdrawRights gives up the rights that the claim does not list, or all of
// them, if the claim is another one by now.
func (a *Allocator) withdrawRights(requests []request, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range requests {
		if r := &requests[i]; r.Claim != nil && (all || r.right.fresh) {
			a.giveUp(r.right)
			r.right = slot{}
		}
	}
}

// lookup finds the claim, or makes it, and checks that it is for this
// interface.
func (a *Allocator) lookup(ctx context.Context, owner Owner, cl *Claiming) (Claim, error) {
	doing := "look for IPClaim " + cl.Namespace + "/" + cl.Name
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		c, err := a.Store.GetClaim(ctx, cl.Namespace, cl.Name)
		if errors.Is(err, ErrNotFound) && cl.Make == nil {
			return c, NoClaim(cl.Namespace, cl.Name)
		}
		if errors.Is(err, ErrNotFound) {
			if c, err = a.Store.CreateClaim(ctx, *cl.Make); errors.Is(err, ErrExists) {
				continue
			}
		}
		if err != nil {
			return c, unavailable(doing, err)
		}
		if err := c.suits(owner); err != nil {
			return c, err
		}
		former := cl.Make != nil && c.Holder.UID != "" && c.Holder.UID != cl.Make.Holder.UID
		if !c.Going && !former {
			if cl.Make == nil || c.Holder == cl.Make.Holder || c.Holder.UID != "" || !c.Made {
				return c, nil
			}
			// Its owner was deleted without it, and is there again.
			c.Holder = cl.Make.Holder
			if c, err = a.Store.OwnClaim(ctx, c); err == nil {
				return c, nil
			} else if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
				return c, unavailable(doing, err)
			}
		}
		if !rest(ctx, pause) {
			return c, &Refusal{Reason: ClaimInUse, Message: fmt.Sprintf("IPClaim %s/%s is being deleted, with the addresses of a workload of the same name that is no more", cl.Namespace, cl.Name),
				Fix: "it is tried again; if the claim stays, delete it: kubectl -n " + cl.Namespace + " delete ipclaim " + cl.Name}
		}
	}
}

const (
	firstLook   = 10 * time.Millisecond
	longestLook = 200 * time.Millisecond
)

// rest waits; false if ctx ends.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// suits tells whether the claim is for this interface.
func (c Claim) suits(o Owner) error {
	refuse := func(of, is, not string) error {
		return &Refusal{Reason: ClaimMismatch, Message: fmt.Sprintf("IPClaim %s/%s is for %s %s, not for %s", c.Namespace, c.Name, of, is, not),
			Fix: "name a claim of this " + of + ", or make another IPClaim"}
	}
	switch {
	case c.Network != o.Network:
		return refuse("network", c.Network, o.Network)
	case c.Interface != "" && c.Interface != o.IfName:
		return refuse("interface", c.Interface, o.IfName)
	case c.Pod != "" && c.Pod != o.Pod:
		return refuse("Pod", c.Pod, o.Pod)
	}
	return nil
}

// matched finds the entry of the claim for each want, or -1. Wants that have
// none are refused if entries are left that fit no want: the network changed
// under the claim.
func (c Claim) matched(requests []request) ([]int, error) {
	has := make([]int, len(requests))
	used := make([]bool, len(c.Has))
	missing := -1
	for i := range requests {
		has[i] = -1
		w := &requests[i]
		if w.Claim == nil {
			continue
		}
		for k, e := range c.Has {
			if x := e.Address.Addr(); !used[k] && w.fits(e.Domain, x) {
				if err := w.that(x).Refuse(x); err != nil {
					return nil, c.outgrown(x, err)
				}
				used[k], has[i] = true, k
				break
			}
		}
		if has[i] < 0 {
			missing = i
		}
	}
	if left := slices.Index(used, false); missing >= 0 && left >= 0 {
		w, x := &requests[missing], c.Has[left].Address.Addr()
		if w.Static.IsValid() {
			return nil, &Refusal{Reason: ClaimMismatch, Message: fmt.Sprintf("address %s is asked for, and IPClaim %s/%s has %s", w.Static, c.Namespace, c.Name, x),
				Fix: "ask for no address, or delete the IPClaim to give its address up"}
		}
		return nil, c.outgrown(x, fmt.Errorf("it is not an address of pool %s (%s)", w.Pool.Name, w.Pool.Prefix))
	}
	return has, nil
}

func (c Claim) outgrown(x netip.Addr, why error) error {
	var r *Refusal
	if errors.As(why, &r) {
		why = errors.New(r.Message)
	}
	return &Refusal{Reason: ClaimMismatch, Message: fmt.Sprintf("IPClaim %s/%s keeps address %s, which the network does not give out any more: %v", c.Namespace, c.Name, x, why),
		Fix: fmt.Sprintf("put the address back into the network's pool, or give it up: kubectl -n %s delete ipclaim %s", c.Namespace, c.Name)}
}

// mac is the claim's hardware address: its own, the one that is wanted, the
// interface's, the pool's, or one that follows from the claim's identity.
func (c Claim) mac(cl *Claiming, requests []request) net.HardwareAddr {
	for _, m := range []net.HardwareAddr{c.MAC, c.WantsMAC, cl.MAC} {
		if len(m) > 0 {
			return m
		}
	}
	for i := range requests {
		if r := &requests[i]; r.Claim != nil && len(r.right.MAC) > 0 {
			return r.right.MAC
		}
	}
	return c.DerivedMAC()
}

// DerivedMAC is a locally administered address (IEEE 802-2014 section 8.4)
// that no other claim has, but for an accident of one in 2^46.
func (c Claim) DerivedMAC() net.HardwareAddr {
	sum := sha256.Sum256([]byte("ipclaim " + c.UID))
	sum[0] = sum[0]&^1 | 2
	return sum[:6]
}
