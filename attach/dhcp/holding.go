package dhcp

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// record is a lease of an interface as the log has it.
type record struct {
	Ask   Ask   `json:"ask"`
	V4    bool  `json:"v4,omitempty"`
	Lease Lease `json:"lease"`
	// Since is when the lease was asked for, by a clock that nobody sets; Wall is the same for people.
	Since time.Duration `json:"since"`
	Wall  time.Time     `json:"wall"`
	// Lost: the lease has ended, and another is being asked for.
	Lost bool `json:"lost,omitempty"`
	// Untold: the follower was not told of it yet, or the agent died meanwhile. Why is what it is told.
	Untold bool   `json:"untold,omitempty"`
	Why    string `json:"why,omitempty"`
}

// holding is a record at work. Keeper.mu guards all of it, except that who has set cancel may read the record.
type holding struct {
	record
	// next is when something is due.
	next time.Duration
	// tries counts the attempts that failed since the lease was lost.
	tries int
	// cancel ends the step that works on it.
	cancel context.CancelFunc
	// gone: it is released, and no step may change it.
	gone, released bool
}

// begin starts the time of a lease, which runs from when it was asked for (RFC 2131 clause 4.4.1).
func (h *holding) begin(now time.Duration) {
	h.Wall = time.Now().Round(0)
	if !h.Lease.asked.IsZero() {
		passed := time.Since(h.Lease.asked)
		h.Since, h.Wall = now-passed, h.Wall.Add(-passed)
	} else {
		h.Since = now
	}
	h.next, h.tries, h.Lost = h.due(h.Lease.Renew), 0, false
}

// due is a moment of the lease's time.
func (h *holding) due(passed time.Duration) time.Duration {
	if passed > Forever-h.Since {
		return Forever
	}
	return h.Since + passed
}

func (h *holding) key() string { return nameOf(h.Ask.Key, h.V4) }

// nameOf is the key of a record in the log.
func nameOf(key ipam.Key, v4 bool) string {
	if v4 {
		return "4/" + key.String()
	}
	return "6/" + key.String()
}

// write puts a holding into the log.
func (k *Keeper) write(h *holding) error {
	value, err := json.Marshal(h.record)
	if err == nil {
		err = k.Log.Put(h.key(), value)
	}
	if err != nil {
		return fmt.Errorf("write down the lease of %s: %w", h.Ask.Key, err)
	}
	return nil
}

func decode(key string, value []byte) (*holding, error) {
	h := &holding{}
	if err := json.Unmarshal(value, &h.record); err != nil {
		return nil, fmt.Errorf("read lease %s of the log: %w", key, err)
	}
	if h.key() != key || !h.Lease.Address.IsValid() || h.Lease.Expire <= 0 {
		return nil, fmt.Errorf("read lease %s of the log: it is damaged", key)
	}
	return h, nil
}
