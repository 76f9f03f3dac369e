package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// del takes a sandbox away, from its record alone. It may be said any number of times, also of a sandbox that nobody knows: an ADD that
// was started before and comes later is refused.
func (s *Server) del(ctx context.Context, id, ifName, path string, started int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestCall) // it is finished also when the shim is gone
	defer cancel()
	s.sandboxes.interrupt(id, errDeleted)
	release, err := s.sandboxes.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	record, known := s.records.get(id)
	if !known || record.State == Gone {
		if err := s.delFound(ctx, path); err != nil {
			return again(id, err)
		}
		if !known { // perhaps the record was lost: what can be found without one is taken away
			if err := s.unwire(ctx, path, Record{ContainerID: id, Intended: []string{ifName}}); err != nil {
				return again(id, err)
			}
			s.Addresses.FreeImported(id, "")
			s.primaryDel(ctx, id, ifName, path)
		}
		return s.records.put(Record{ContainerID: id, State: Gone, Since: time.Now(), Deleted: max(started, record.Deleted)})
	}
	record.Deleted = max(started, record.Deleted)
	if err := s.remove(ctx, record, path); err != nil {
		return again(id, err)
	}
	return nil
}

// again lets the runtime repeat a DEL that left something.
func again(id string, err error) error {
	return &Refusal{Reason: ReasonInternal, Message: fmt.Sprintf("take away sandbox %.13s: %v", id, err), Fix: "none needed, the runtime tries again",
		Code: shimrpc.CodeTryAgainLater}
}

// remove takes everything away that a record speaks of; the caller has the sandbox. The order is the reverse of making: an address is
// free only when no interface has it any more. What is left of the record refuses an older ADD. Path is where the runtime says that the
// namespace is, "" when it does not say.
func (s *Server) remove(ctx context.Context, record Record, path string) error {
	began := time.Now()
	if path == "" {
		path = record.NetNS
	}
	if gone, err := netns.Gone(path, record.NetNSID); err == nil && gone {
		path = "" // another namespace may stand there by now, and is not ours to touch
	}
	if record.State != Leaving {
		record.State, record.Left = Leaving, time.Now()
		if err := s.records.put(record); err != nil {
			return err
		}
	}
	s.reports.drop(record.ContainerID)
	var errs []error
	if len(record.Ports) > 0 || slices.ContainsFunc(record.Interfaces, func(w kind.Wired) bool { return len(w.Masquerade) > 0 }) {
		errs = append(errs, s.Ports.Delete(ctx, record.ContainerID))
	}
	began = s.stage("DEL", "ports", began)
	errs = append(errs, s.releaseLeases(ctx, record), s.unchain(ctx, record, path))
	if err := s.unwire(ctx, path, record); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, w := range record.Interfaces {
		s.verdicts.freed(w)
	}
	began = s.stage("DEL", "wire", began)
	errs = append(errs, s.giveBack(ctx, record, path))
	for _, name := range record.Intended {
		errs = append(errs, s.Addresses.Free(ctx, ipam.Key{ContainerID: record.ContainerID, IfName: name}))
	}
	s.stage("DEL", "address", began)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.records.put(Record{ContainerID: record.ContainerID, State: Gone, Since: time.Now(), Deleted: record.Deleted})
}

// unwire takes the interfaces away.
func (s *Server) unwire(ctx context.Context, path string, record Record) error {
	links := record.links()
	if len(links) == 0 {
		return nil
	}
	release, err := s.wiring(ctx, s.unwirings)
	if err != nil {
		return err
	}
	defer release()
	return s.Wirer.Unwire(ctx, path, links)
}
