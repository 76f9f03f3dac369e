package attach

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// exchangeable refuses what cannot be done to a running Pod.
func (r *Record) exchangeable(d difference) error {
	refuse := func(s Selection, why string) error {
		return &Refusal{Reason: ReasonChangeRefused, Message: fmt.Sprintf("%s: %s while the Pod runs", s.where(), why),
			Fix: "delete the Pod, so that its replacement starts with it; or put the annotation back"}
	}
	for _, s := range d.Make {
		if s.WantsDefault {
			return refuse(s, "the default route cannot be given to another network")
		}
	}
	for _, name := range d.Gone {
		s, err := selectionOf(r.Asked[name], name)
		if err == nil && s.WantsDefault {
			return refuse(s, "the network that has the default route cannot be taken away")
		}
		for _, w := range r.Interfaces {
			if w.Below == name && (!slices.Contains(d.Gone, w.IfName) || d.exchanged(name)) {
				s.IfName = name
				return refuse(s, fmt.Sprintf("interface %s stands on it, and it cannot be taken away", w.IfName))
			}
		}
	}
	return nil
}

// plan resolves what is to be made, and what is to be replaced: that must be possible again.
func (x *exchange) plan(ctx context.Context) error {
	there, err := x.Wirer.Observe(ctx, x.record.NetNS)
	if err != nil {
		return err
	}
	var others []netip.Prefix
	for name, o := range there {
		if slices.Contains(x.d.Gone, name) {
			continue
		}
		for _, r := range o.Routes {
			if r.Priority == 0 {
				others = append(others, r.Dst)
			}
		}
	}
	for _, sel := range x.d.Make {
		one, err := x.resolve(ctx, sel)
		if err != nil {
			return err
		}
		one.others = others
		if !x.d.exchanged(sel.IfName) {
			if _, taken := there[sel.IfName]; taken {
				return refusef(ReasonInterfaceConflict, "give the element another interface",
					"%s: the Pod has an interface of that name which tsunagu has not made", sel.where())
			}
			x.adds = append(x.adds, one)
			continue
		}
		one.had = x.holds(ipam.Key{ContainerID: x.record.ContainerID, IfName: sel.IfName})
		x.swaps = append(x.swaps, one)
		old, err := x.former(ctx, sel.IfName, one.had)
		if err != nil {
			return err
		}
		old.others = others
		x.olds = append(x.olds, old)
	}
	return nil
}

func (x *exchange) resolve(ctx context.Context, sel Selection) (planned, error) {
	one, err := x.planner.resolve(ctx, x.pod, sel, &handout{nil, x.pod, map[string]int{}})
	if err == nil && one.resource != "" {
		err = &Refusal{Reason: ReasonChangeRefused, Message: "a device cannot be given to a Pod while it runs: kubelet gives them out when it starts",
			Fix: "delete the Pod, so that its replacement starts with it"}
	}
	if err == nil && one.net.Giver != nil {
		err = &Refusal{Reason: ReasonChangeRefused, Message: "its addresses are given by ipam plugin " + one.net.Giver.Type + ", which is asked when a Pod starts",
			Fix: "delete the Pod, so that its replacement starts with it; or use an ipam type that is built in"}
	}
	if err != nil {
		return one, fmt.Errorf("%s: %w", sel.where(), err)
	}
	return one, nil
}

// former is an interface that is to be replaced, planned with the addresses that it has.
func (x *exchange) former(ctx context.Context, ifName string, had *holding) (planned, error) {
	sel, err := selectionOf(x.record.Asked[ifName], ifName)
	if err != nil || sel.Name == "" {
		return planned{}, nil // nobody knows how it came to be
	}
	if sel.Index = 1 + slices.Index(x.record.Intended, ifName); sel.Index < 1 {
		sel.Index = 1
	}
	old, err := x.planner.resolve(ctx, x.pod, sel, &handout{nil, x.pod, map[string]int{}})
	if err != nil { // its definition is gone, or another one now
		return planned{}, nil
	}
	old.had = &holding{owner: had.owner, addresses: had.addresses, taken: true}
	old.grants = append(slices.Clone(had.grants), old.fixed...)
	return old, nil
}
