package attach

import (
	"context"
)

// ReasonRemoved is the reason of the Event per interface that was taken from a running Pod.
const ReasonRemoved = "RemovedInterface"

// exchange gives a running Pod the interfaces that its annotation says; the caller has the sandbox. Nothing of the Pod is touched before
// all that can be refused has been, and before the new interfaces have their addresses. Then those are made that have a name of their own,
// then those are exchanged whose name another had, and at last those go that nobody asks for: whatever is refused, the Pod has in the end
// what it had before.
func (s *Server) exchange(ctx context.Context, record Record, pod Pod, d difference) (Record, error) {
	if err := record.exchangeable(d); err != nil {
		return record, err
	}
	x := &exchange{Server: s, pod: pod, d: d, before: record, record: record}
	if err := x.plan(ctx); err != nil {
		return record, err
	}
	if err := x.begin(ctx); err != nil {
		return x.backOut(ctx, err)
	}
	if err := x.add(ctx); err != nil {
		return x.backOut(ctx, err)
	}
	for i := range x.swaps {
		if err := x.swap(ctx, i); err != nil {
			return x.backOut(ctx, err)
		}
	}
	return x.finish(ctx)
}

// exchange is one at work.
type exchange struct {
	*Server
	pod            Pod
	d              difference
	before, record Record
	// adds are interfaces under names that nothing has, swaps those that replace one, and olds what they replace, to have it back.
	adds, swaps, olds []planned
	began             bool // something may have been made
	swapped           int  // of so many of swaps the old one may be gone
}
