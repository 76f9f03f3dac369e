package attach

import (
	"context"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// mendPause gathers what belongs together: a flush removes routes one by one, and so does the end of many Pods.
const mendPause = 100 * time.Millisecond

// Disturbed says that somebody may have removed routes to Pods from the node. It does not wait.
func (s *Server) Disturbed() {
	select {
	case s.disturbed <- struct{}{}:
	default:
	}
}

// mend puts back routes to Pods.
func (s *Server) mend(ctx context.Context) error {
	var owned []kind.Record
	for _, record := range s.records.list() {
		if record.State == Wired {
			owned = append(owned, record.Interfaces...)
		}
	}
	lost, err := s.Wirer.Mend(ctx, owned)
	if len(lost) > 0 {
		s.Log.Warn("somebody removed the node's routes to Pods; they are back", "addresses", lost)
	}
	return err
}
