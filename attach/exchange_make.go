package attach

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// begin takes all addresses, and notes what is about to be done before that.
func (x *exchange) begin(ctx context.Context) error {
	x.record.Change = &change{}
	for _, one := range slices.Concat(x.adds, x.swaps) {
		x.record.Change.Making = append(x.record.Change.Making, one.sel.IfName)
		if !slices.Contains(x.record.Intended, one.sel.IfName) {
			x.record.Intended = append(slices.Clone(x.record.Intended), one.sel.IfName)
		}
	}
	x.record.Chains = maps.Clone(x.record.Chains)
	maps.Copy(x.record.Chains, x.chains(x.adds))
	if err := x.records.put(x.record); err != nil {
		return err
	}
	for _, list := range [][]planned{x.adds, x.swaps} {
		for i := range list {
			if err := x.takeAddresses(ctx, x.record, &list[i]); err != nil {
				return fmt.Errorf("%s: %w", list[i].where(), err)
			}
		}
	}
	return nil
}

// chains are those of some interfaces, before anything of them is done.
func (x *exchange) chains(plan []planned) map[string]chainRecord {
	uid := x.pod.UID
	if x.pod.StaticUID != "" {
		uid = x.pod.StaticUID
	}
	r := &request{Request: shimrpc.Request{ContainerID: x.record.ContainerID, Path: x.record.Path}, pod: podRef{UID: uid}, capabilities: nil}
	return chainsOf(plan, r, x.pod)
}

// part is the record of some of the sandbox's interfaces, for those who make them.
func (x *exchange) part(plan []planned) Record {
	part := x.record
	part.Interfaces, part.others = nil, x.record.Interfaces
	part.DNS = maps.Clone(part.DNS)
	return part
}

// merge takes over what was made of a part.
func (x *exchange) merge(part Record, made bool) {
	x.record.Chains = part.Chains
	if !made {
		return
	}
	x.record.DNS = part.DNS
	for _, w := range part.Interfaces {
		x.record.Interfaces = append(slices.DeleteFunc(slices.Clone(x.record.Interfaces), func(o kind.Wired) bool { return o.IfName == w.IfName }), w)
	}
}

// make makes the interfaces of a plan.
func (x *exchange) make(ctx context.Context, plan []planned) error {
	if len(plan) == 0 {
		return nil
	}
	dns, err := resolvers(plan)
	if err != nil {
		return err
	}
	part, err := x.build(ctx, x.part(plan), plan, x.pod, time.Now())
	for name, of := range dns {
		if part.DNS == nil {
			part.DNS = map[string]ipam.DNS{}
		}
		if _, leased := part.DNS[name]; !leased {
			part.DNS[name] = of
		}
	}
	x.merge(part, err == nil)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// add makes what has a name of its own.
func (x *exchange) add(ctx context.Context) error {
	x.began = len(x.adds) > 0
	return x.make(ctx, x.adds)
}

// swap takes one interface away and makes another under its name.
func (x *exchange) swap(ctx context.Context, i int) error {
	name := x.swaps[i].sel.IfName
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := x.takeAway(ctx, []string{name}); err != nil {
		return err
	}
	x.swapped = i + 1
	maps.Copy(x.record.Chains, x.chains(x.swaps[i:i+1]))
	if err := x.records.put(x.record); err != nil {
		return err
	}
	return x.make(ctx, x.swaps[i:i+1])
}
