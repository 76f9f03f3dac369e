package chained

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// Runner carries out chained plugins on one node. It is safe for use by many goroutines; calls for one sandbox do not overlap.
type Runner struct {
	// Root is the node's root as this process sees it; "" is this process's own.
	Root string
	// Node is the node's network namespace, nil for the one of this process.
	Node *netns.Namespace

	once  sync.Once
	ports *nft.Forwards
	// filters is held while rules of iptables are read and changed.
	filters sync.Mutex
}

// Add carries out one plugin. It gives the interface as it is now, for the next of the chain, and what Del and Check need besides the
// configuration (nil for nothing), which is kept over a crash. After an error it has taken back what it did.
func (r *Runner) Add(ctx context.Context, c Call, s Spec) (kind.Wired, json.RawMessage, error) {
	switch s := s.(type) {
	case Tuning:
		return r.tune(c, s)
	case SBR:
		return bySource(c, s)
	case VRF:
		w, err := enslave(c, s)
		return w, nil, err
	case Shaping:
		state, err := r.shapeIt(c, s)
		return c.Wired, state, err
	case PortMap:
		state, err := r.mapPorts(c, s)
		return c.Wired, state, err
	case Firewall:
		state, err := r.letThrough(ctx, c, s)
		return c.Wired, state, err
	}
	return c.Wired, nil, fmt.Errorf("add: no plugin for %T", s)
}

// Del takes back what Add did, or may have done before a crash; then state is nil. It may be said any number of times, also when the
// namespace is gone.
func (r *Runner) Del(ctx context.Context, c Call, s Spec, state json.RawMessage) error {
	switch s := s.(type) {
	case Tuning:
		return untune(c, state)
	case SBR:
		return unsource(c, state)
	case VRF:
		return release(c, s)
	case Shaping:
		return r.unshape(c, state)
	case PortMap:
		return r.unmapPorts(c)
	case Firewall:
		return r.letBack(ctx, c, state)
	}
	return fmt.Errorf("delete: no plugin for %T", s)
}

// Check compares what Add did with what is there. Differences are kind.Mismatch.
func (r *Runner) Check(ctx context.Context, c Call, s Spec, state json.RawMessage) error {
	switch s := s.(type) {
	case Tuning:
		return checkTuning(c, s)
	case SBR:
		return checkSources(c, state)
	case VRF:
		return checkVRF(c, s)
	case Shaping:
		return r.checkShape(c, s)
	case PortMap:
		return r.checkPorts(c, s)
	case Firewall:
		return r.checkThrough(ctx, c, s, state)
	}
	return fmt.Errorf("check: no plugin for %T", s)
}
