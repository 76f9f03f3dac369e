package attach

import (
	"context"
	"fmt"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// check compares all interfaces of a sandbox, not only the pod network's, with what was made.
func (s *Server) check(ctx context.Context, r *request) error {
	release, err := s.sandboxes.take(ctx, r.ContainerID)
	if err != nil {
		return err
	}
	defer release()
	record, ok := s.records.get(r.ContainerID)
	if !ok || record.State != Wired {
		return &Refusal{Reason: "UnknownSandbox", Code: shimrpc.CodeUnknownContainer,
			Message: fmt.Sprintf("sandbox %.13s is not attached", r.ContainerID), Fix: "delete the Pod; its replacement is attached"}
	}
	if gone, err := netns.Gone(r.NetNS, record.NetNSID); err == nil && gone {
		return &Refusal{Reason: kind.NoNamespace{}.Reason(), Code: shimrpc.CodeUnknownContainer,
			Message: fmt.Sprintf("network namespace %s is not the one that sandbox %.13s was attached in", r.NetNS, r.ContainerID),
			Fix:     "delete the Pod; its replacement is attached"}
	}
	if err := s.Wirer.Check(ctx, r.NetNS, record.Interfaces); err != nil {
		return err
	}
	if err := s.checkChains(ctx, record); err != nil {
		return err
	}
	return s.checkGivers(ctx, record)
}
