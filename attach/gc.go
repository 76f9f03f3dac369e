package attach

import (
	"context"
	"errors"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// gc takes away every sandbox that the runtime does not have any more (CNI spec 1.1.0, GC). The runtime promises not to add or delete
// at the same time; a sandbox that somebody works on nevertheless is left alone.
func (s *Server) gc(ctx context.Context, r *request) error {
	began := time.Now()
	if r.valid == nil {
		return &Refusal{Reason: "BadRequest", Code: shimrpc.CodeBadConfig, Message: `GC without "cni.dev/valid-attachments"`,
			Fix: "none: nothing was removed, since without the list everything would be"}
	}
	valid := map[string]bool{}
	for _, a := range r.valid {
		valid[a.ContainerID] = true
	}
	var errs []error
	for _, record := range s.records.list() {
		if valid[record.ContainerID] || record.State == Gone || record.Since.After(began) {
			continue
		}
		errs = append(errs, s.tidy(ctx, record.ContainerID, func(record Record) bool { return record.State != Gone }))
	}
	errs = append(errs, s.gcDelegates(ctx))
	if err := errors.Join(errs...); err != nil {
		return &Refusal{Reason: ReasonInternal, Message: err.Error(), Fix: "none needed, the runtime tries again", Code: shimrpc.CodeTryAgainLater}
	}
	return nil
}

// tidy removes a sandbox that nobody works on, if its record is still as it should be for that.
func (s *Server) tidy(ctx context.Context, id string, should func(Record) bool) error {
	release, ok := s.sandboxes.try(id)
	if !ok {
		return nil
	}
	defer release()
	record, ok := s.records.get(id)
	if !ok || !should(record) {
		return nil
	}
	if err := s.remove(ctx, record, record.NetNS); err != nil {
		return err
	}
	s.Log.Info("swept a sandbox", "container", id, "state", record.State, "pod", record.pod().String())
	return nil
}
