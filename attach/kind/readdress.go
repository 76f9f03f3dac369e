package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// Layout is what an interface has that may change while it is there.
type Layout struct {
	Addresses []Address
	Routes    []Route
	// MTU in bytes; 0 leaves it as it is.
	MTU int
}

// Readdress gives an interface that was wired another layout: what the record has and the layout has not is taken away, the rest is put
// there unless it is. It may be said again after an error. It returns the new record.
func (w *Wirer) Readdress(ctx context.Context, nsPath string, r Record, to Layout) (Wired, error) {
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("address %s: %w", r.IfName, context.Cause(ctx))
	}
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return r, err
	}
	defer ns.Close()
	pod, err := link.Dial(ns)
	if err != nil {
		return r, err
	}
	defer pod.Close()
	l, err := pod.ByName(r.IfName)
	if err != nil {
		return r, err
	}
	if r.IfIndex != 0 && l.Index != r.IfIndex {
		return r, Mismatch{IfName: r.IfName, What: "the interface", Want: "the one that was made", Have: "another of its name"}
	}
	if err := pod.Apply(taken(r, l, to)...); err != nil {
		return r, err
	}
	if err := pod.Apply(given(l, to)...); err != nil {
		return r, err
	}
	// The port must let the new addresses pass before they are announced.
	readdressed := r
	readdressed.Addresses = to.Addresses
	if err := w.readdressTrunk(readdressed); err != nil {
		return r, err
	}
	announceNew(ns, pod, r, l, to)
	r.Addresses, r.Routes = to.Addresses, to.Routes
	if to.MTU != 0 {
		r.MTU = to.MTU
	}
	return r, nil
}

// taken are the operations that take away what the layout has not.
func taken(r Record, l link.Link, to Layout) (ops []link.Op) {
	for _, old := range r.Routes {
		if !slices.ContainsFunc(to.Routes, func(o Route) bool { return o.Dst == old.Dst && o.Gateway == old.Gateway && o.Priority == old.Priority }) {
			ops = append(ops, link.DeleteRoute(l.Name, link.Route{Index: l.Index, Dst: old.Dst, Gateway: old.Gateway, Priority: old.Priority, Table: old.Table}).Forgiving())
		}
	}
	for _, old := range r.Addresses {
		if !slices.ContainsFunc(to.Addresses, func(o Address) bool { return o.Prefix == old.Prefix }) {
			ops = append(ops, link.DeleteAddress(l.Name, l.Index, old.Prefix).Forgiving())
		}
	}
	return ops
}

// given are the operations that put there what the layout has. Routes come last; the kernel has dropped those that went by an address
// that was taken away.
func given(l link.Link, to Layout) (ops []link.Op) {
	if to.MTU != 0 && to.MTU != l.MTU {
		ops = append(ops, link.Set(link.Change{Device: l.Name, Index: l.Index, MTU: to.MTU}))
	}
	for _, a := range to.Addresses {
		ops = append(ops, link.AddAddress(l.Name, l.Index, a.Prefix, link.AddressOptions{}).Forgiving())
	}
	for _, r := range to.Routes {
		ops = append(ops, link.AddRoute(l.Name, link.Route{Index: l.Index, Dst: r.Dst, Gateway: r.Gateway, Priority: r.Priority, Table: r.Table, Scope: r.Scope}).Forgiving())
	}
	return ops
}

// announceNew tells the segment who has the new addresses. What cannot be announced is found by its neighbours in time.
func announceNew(ns *netns.Namespace, pod *link.Conn, r Record, l link.Link, to Layout) {
	for _, a := range to.Addresses {
		if slices.ContainsFunc(r.Addresses, func(o Address) bool { return o.Prefix == a.Prefix }) {
			continue
		}
		if x := a.Prefix.Addr(); x.Is4() {
			_ = pod.Apply(link.Announce4(l.Name, l.Index, x))
			continue
		}
		_ = ns.Do(func() error {
			by, err := wire.OpenHere()
			if err != nil {
				return err
			}
			return errors.Join(by.Announce6(l.Index, a.Prefix.Addr(), l.MAC), by.Close())
		})
	}
}
