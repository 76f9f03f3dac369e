package attach

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// loan is what is kept of an interface that another plugin made and that has addresses of ours: the shim was called as its IPAM plugin.
// It is kept from before its addresses are taken until they are free.
type loan struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifName"`
	// Network is the name of the CNI configuration.
	Network string   `json:"network"`
	NetNS   string   `json:"netns"`
	NetNSID netns.ID `json:"netnsID,omitzero"`
	// Since is when it was made, or Gone.
	Since time.Time `json:"since"`
	// Gone: nothing is left; an ADD that was started before Deleted is refused.
	Gone    bool  `json:"gone,omitempty"`
	Deleted int64 `json:"deleted,omitempty"`
}

func (l loan) key() ipam.Key { return ipam.Key{ContainerID: l.ContainerID, IfName: l.IfName} }

// turn names it among the sandboxes that somebody works on. Its sandbox itself may be worked on at the same time: by the ADD that
// executes the plugin that executes us.
func (l loan) turn() string { return loanKey + l.key().String() }

// loanKey begins the keys of loans in the log of sandboxes. No container's ID has a space.
const loanKey = "ipam "

// loans are all of the node, in memory and in the log.
type loans struct {
	log Log

	mu  sync.Mutex
	all map[ipam.Key]loan
}

// readLoans takes over what a log held. One that cannot be read is left out and told; its addresses go with its Pod.
func readLoans(log Log) (*loans, error) {
	l := &loans{log: log, all: map[ipam.Key]loan{}}
	var bad []string
	log.All(func(key string, value []byte) {
		if !strings.HasPrefix(key, loanKey) {
			return
		}
		var one loan
		if err := json.Unmarshal(value, &one); err != nil || one.turn() != key {
			bad = append(bad, key)
			return
		}
		l.all[one.key()] = one
	})
	if len(bad) > 0 {
		slices.Sort(bad)
		return l, fmt.Errorf("read the records of %s: they are damaged", strings.Join(bad, ", "))
	}
	return l, nil
}

func (l *loans) get(key ipam.Key) (loan, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.all[key]
	return one, ok
}

// has tells whether an interface may have addresses.
func (l *loans) has(key ipam.Key) bool {
	one, ok := l.get(key)
	return ok && !one.Gone
}

// put keeps a loan; it is in the log when put returns.
func (l *loans) put(one loan) error {
	value, err := json.Marshal(one)
	if err == nil {
		err = l.log.Put(one.turn(), value)
	}
	if err != nil {
		return fmt.Errorf("keep the record of interface %s: %w", one.key(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[one.key()] = one
	return nil
}

func (l *loans) drop(one loan) error {
	if err := l.log.Delete(one.turn()); err != nil {
		return fmt.Errorf("drop the record of interface %s: %w", one.key(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, one.key())
	return nil
}

// list gives all loans in the order of their keys.
func (l *loans) list() []loan {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.all), func(a, b loan) int { return strings.Compare(a.turn(), b.turn()) })
}
