package attach

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// backOut gives the Pod what it had. Nobody waits for it when the sandbox is being deleted: that takes all away.
func (x *exchange) backOut(ctx context.Context, why error) (Record, error) {
	if cause := context.Cause(ctx); errors.Is(cause, errDeleted) || errors.Is(cause, errEnding) {
		return x.record, why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	for i := range x.swaps {
		if err := x.swapBack(ctx, i); err != nil {
			return x.record, errors.Join(why, err)
		}
	}
	var names []string
	for _, one := range x.adds {
		names = append(names, one.sel.IfName)
	}
	record, err := x.forgo(ctx, names)
	if err != nil {
		return record, errors.Join(why, err)
	}
	record.sort(x.before.Interfaces)
	if x.swapped == 0 { // nothing of the Pod was touched
		record.Change = nil
		return record, errors.Join(why, x.records.put(record))
	}
	record.Reported = false
	record, err = x.keepOn(ctx, record)
	return record, errors.Join(why, err)
}

// forgo takes away what was to be added. What was not begun has addresses at most.
func (x *exchange) forgo(ctx context.Context, names []string) (Record, error) {
	if x.began {
		return x.clear(ctx, x.record, names)
	}
	record := x.record
	record.Chains = maps.Clone(record.Chains)
	for _, name := range names {
		delete(record.Chains, name)
		if err := x.Addresses.Free(ctx, ipam.Key{ContainerID: record.ContainerID, IfName: name}); err != nil {
			return record, err
		}
	}
	record.Intended = slices.DeleteFunc(slices.Clone(record.Intended), func(name string) bool { return slices.Contains(names, name) })
	return record, nil
}

// swapBack makes an interface anew that was there before, with the addresses that it had.
func (x *exchange) swapBack(ctx context.Context, i int) error {
	one := &x.swaps[i]
	name := one.sel.IfName
	if i >= x.swapped {
		if slices.Contains(x.record.Change.Leaving, name) {
			x.swapped = i + 1 // its taking away has begun
		} else {
			return x.yieldAddresses(ctx, x.record, one)
		}
	}
	if err := x.takeAway(ctx, []string{name}); err != nil {
		return err
	}
	if err := x.yieldAddresses(ctx, x.record, one); err != nil {
		return err
	}
	old := x.olds[i]
	err := fmt.Errorf("nobody knows any more what interface %s was", name)
	if old.sel.IfName != "" {
		maps.Copy(x.record.Chains, x.chains(x.olds[i:i+1]))
		if err = x.records.put(x.record); err == nil {
			err = x.make(ctx, x.olds[i:i+1])
		}
	}
	if err == nil {
		return nil
	}
	x.Log.Error("an interface could not be put back", "pod", x.pod.String(), "interface", name, "err", err)
	x.Events.Warn(x.pod, ReasonInternal, fmt.Sprintf("interface %s was taken away for another that could not be made, and could not be put back: %v. "+
		"To fix: correct the annotation, or delete the Pod", name, err))
	x.record.Amiss = true
	x.record, err = x.clear(ctx, x.record, []string{name})
	delete(x.record.Asked, name)
	return err
}
