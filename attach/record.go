package attach

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// State is how far a sandbox is.
type State string

const (
	// Wiring: the ADD has begun; anything may have been made.
	Wiring State = "wiring"
	// Wired: everything is there.
	Wired State = "wired"
	// Leaving: it is being taken away, perhaps not for the first time.
	Leaving State = "leaving"
	// Gone: nothing is left; an ADD that began before is refused.
	Gone State = "gone"
)

// Record is what is kept of a sandbox from before anything is made for it until nothing of it is left. A DEL needs nothing else.
type Record struct {
	ContainerID string    `json:"containerID"`
	State       State     `json:"state"`
	Since       time.Time `json:"since"`
	// NetNS is the sandbox's namespace, NetNSID its identity: another one may come to stand at the path.
	NetNS   string   `json:"netns,omitempty"`
	NetNSID netns.ID `json:"netnsID,omitzero"`
	// Namespace, Pod and UID are whose it is.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	UID       string `json:"uid,omitempty"`
	// Network is the name of the CNI configuration.
	Network string `json:"network,omitempty"`
	// Intended are the interfaces that may have been made or have addresses; Interfaces those that are wired.
	Intended   []string           `json:"intended,omitempty"`
	Interfaces []kind.Wired       `json:"interfaces,omitempty"`
	Ports      []hostport.Mapping `json:"ports,omitempty"`
	// Chains are the steps behind the first plugin of an interface's list, by interface.
	Chains map[string]chainRecord `json:"chains,omitempty"`
	// DNS are the resolvers that networks come with, by interface.
	DNS map[string]ipam.DNS `json:"dns,omitempty"`
	// DeviceInfo is what device plugins say of devices, by interface.
	DeviceInfo map[string]json.RawMessage `json:"deviceInfo,omitempty"`
	// Held are the addresses of the interfaces, and by what right (ipam.Rights), in case that the log of addresses is lost.
	Held map[string][]byte `json:"held,omitempty"`
	// Annotation is the one that the interfaces are as of, Asked what it says of each (Selection.element). Both are unknown of a sandbox
	// from before they were kept. Path is CNI_PATH of the ADD.
	Annotation *string           `json:"annotation,omitempty"`
	Asked      map[string]string `json:"asked,omitempty"`
	Path       string            `json:"path,omitempty"`
	// Change is the exchange of interfaces that is under way. Amiss tells that one was cut short and an interface is missing.
	Change *change `json:"change,omitempty"`
	Amiss  bool    `json:"amiss,omitempty"`
	// Told is the annotation, shortened, of which the Pod was told that it changes nothing.
	Told string `json:"told,omitempty"`
	// Reported tells that the Pod's network-status was written, or never will; Announced that its first interfaces have their Events.
	Reported  bool `json:"reported,omitempty"`
	Announced bool `json:"announced,omitempty"`
	// Left is when it was first taken away.
	Left time.Time `json:"left,omitzero"`
	// Deleted is when the DEL was started (shimrpc.Request.Started).
	Deleted int64 `json:"deleted,omitempty"`

	// others are interfaces of the sandbox beside those of the record, while some are exchanged.
	others []kind.Wired
}

// pod is whose sandbox it is.
func (r *Record) pod() Pod { return Pod{Namespace: r.Namespace, Name: r.Pod, UID: r.UID} }

// links are the interfaces to take away: what was wired, and bare keys for what may have been.
func (r *Record) links() []kind.Record {
	links := slices.Clone(r.Interfaces)
	for _, name := range r.Intended {
		if !slices.ContainsFunc(links, func(w kind.Wired) bool { return w.IfName == name }) {
			links = append(links, kind.Record{ContainerID: r.ContainerID, IfName: name, Foreign: r.Chains[name].headed()})
		}
	}
	return links
}

// ports are what the node translates for the sandbox.
func (r *Record) ports() hostport.Sandbox {
	s := hostport.Sandbox{ID: r.ContainerID, Name: r.Namespace + "/" + r.Pod, Mappings: r.Ports}
	for i, w := range r.Interfaces {
		for _, a := range w.Addresses {
			if i == 0 {
				s.HostIf = w.HostIf
				s.Addresses = append(s.Addresses, a.Prefix.Addr())
			}
			if slices.Contains(w.Masquerade, a.Prefix.Addr()) {
				s.Masquerade = append(s.Masquerade, a.Prefix)
			}
		}
	}
	return s
}

// Log keeps records over a crash of the process, but not over a reboot (ipam/journal).
type Log interface {
	// Put returns when the record will be there after a crash.
	Put(key string, value []byte) error
	Delete(key string) error
	// All visits each record; the order does not matter.
	All(visit func(key string, value []byte))
}

// records are all sandboxes of the node, in memory and in the log.
type records struct {
	log Log

	mu  sync.Mutex
	all map[string]Record
}

// readRecords takes over what a log held. What cannot be read is left out and told: its interfaces are found by their names and
// its addresses by their owners.
func readRecords(log Log) (*records, error) {
	r := &records{log: log, all: map[string]Record{}}
	var bad []string
	log.All(func(key string, value []byte) {
		if strings.HasPrefix(key, loanKey) || strings.HasPrefix(key, gapKey) {
			return // readLoans and hasGap have it
		}
		var one Record
		if err := json.Unmarshal(value, &one); err != nil || one.ContainerID != key {
			bad = append(bad, key)
			return
		}
		r.all[key] = one
	})
	if len(bad) > 0 {
		slices.Sort(bad)
		return r, fmt.Errorf("read the records of sandboxes %s: they are damaged", strings.Join(bad, ", "))
	}
	return r, nil
}

// get finds a sandbox's record.
func (r *records) get(id string) (Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, ok := r.all[id]
	return one, ok
}

// put keeps a record; it is in the log when put returns.
func (r *records) put(one Record) error {
	value, err := json.Marshal(one)
	if err != nil {
		return fmt.Errorf("render the record of sandbox %s: %w", one.ContainerID, err)
	}
	if err := r.log.Put(one.ContainerID, value); err != nil {
		// Without the container's ID, so that repeated Events are counted.
		return &Refusal{Reason: ReasonInternal, Message: fmt.Sprintf("keep the record of the sandbox: %v", err), Code: shimrpc.CodeTryAgainLater,
			Fix: "make room on the file system of that file on the node, or make it writable: it is tried again"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[one.ContainerID] = one
	return nil
}

// Ends tells whether a record of the log is about the end of a sandbox: it is
// written even when there is no room for beginnings.
func Ends(_ string, value []byte) bool {
	var one struct {
		State State
		Gone  bool // of a loan
	}
	return json.Unmarshal(value, &one) == nil && (one.Gone || one.State == Leaving || one.State == Gone)
}

// drop forgets a record.
func (r *records) drop(id string) error {
	if err := r.log.Delete(id); err != nil {
		return fmt.Errorf("drop the record of sandbox %s: %w", id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, id)
	return nil
}

// list gives all records, oldest first.
func (r *records) list() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.all), func(a, b Record) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ContainerID, b.ContainerID)
	})
}
