package chained

import (
	"context"
	"encoding/json"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Runner carries out chained plugins on one node. It is safe for use by many goroutines; calls for one sandbox do not overlap.
type Runner struct{}

// Add carries out one plugin. It gives the interface as it is now, for the next of the chain, and what Del and Check need besides the
// configuration (nil for nothing), which is kept over a crash. After an error it has taken back what it did.
func (r *Runner) Add(_ context.Context, c Call, _ Spec) (kind.Wired, json.RawMessage, error) {
	return c.Wired, nil, nil
}

// Del takes back what Add did, or may have done before a crash; then state is nil. It may be said any number of times, also when the
// namespace is gone.
func (r *Runner) Del(context.Context, Call, Spec, json.RawMessage) error { return nil }

// Check compares what Add did with what is there. Differences are kind.Mismatch.
func (r *Runner) Check(context.Context, Call, Spec, json.RawMessage) error { return nil }
