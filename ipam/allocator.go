package ipam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options of an Allocator. Zero values have the defaults given.
type Options struct {
	// Node and NodeUID are who leases blocks. The UID is the identity.
	Node, NodeUID string
	Store         Store
	Log           Log
	Logger        *slog.Logger
	// Patience is how long a Take waits for an answer of the API server, or of
	// another node; 1.8 s. As long as answers come it waits up to four times as
	// long.
	Patience time.Duration
	// Pool is the IPPool of a name as it is now, false if it is not known; it is
	// called with a lock held and must not wait. Without it a quota counts what
	// is taken after it was written.
	Pool func(name string) (Pool, bool)
	// Nodes is the number of nodes that share pools, until SetNodes.
	Nodes int
}

// Allocator is a node's address book. All methods may be called at any time
// from any goroutine.
type Allocator struct {
	Options
	ready chan struct{}
	kick  chan struct{}
	// questions wakes answerAll.
	questions chan struct{}

	mu      sync.Mutex
	started bool
	nodes   int
	spaces  map[string]*space
	held    map[Key]*held
	by      map[spot]*held
	busy    map[Key]*attempt
	pools   map[poolKey]*poolState
	ending  map[string]*ending // Address objects to delete, by name
	names   map[string]chan struct{}
	asked   map[string]struct{} // blocks with requests to answer
	suspect map[string]struct{} // blocks that may be lost
	evicted map[spot]struct{}   // in use here, and the right is missing
	// imported are Address objects for interfaces made by others, by name.
	imported map[string]Address
	// strangers use addresses, and the API server does not know of it yet.
	strangers map[spot]*Stranger
	// strays are addresses that interfaces here have, of unknown domains.
	strays  map[netip.Addr]*held
	last    map[string]time.Time
	random  *rand.Rand
	quotas  map[tokenKey]*Pool
	naps    naps // addresses that rest
	metrics metrics
}

// spot is an address of a domain.
type spot struct {
	domain string
	addr   netip.Addr
}

// attempt is a Take that is under way.
type attempt struct {
	done      chan struct{}
	cancel    context.CancelFunc
	cancelled bool
}

// ending is an Address object that nobody uses any more.
type ending struct {
	uid  string
	spot spot
	// claimed: the address is a claim's, and what ends is its use by key.
	// fresh: the claim may not list it, and then it was made in vain.
	claimed bool
	key     Key
	fresh   bool
}

type poolKey struct{ domain, name string }

// poolState is what is going on at a pool.
type poolState struct {
	pool    Pool
	waiting int
	flight  *flight
	quiet   time.Time // no prefetch before this
	seen    time.Time
	// full is what a take was refused with, believed for a while.
	full *Refusal
	// low is where the last search for a block to claim found one, and is where
	// the next begins if the space's epoch is the same; cursor likewise if the
	// pool lets addresses rest.
	low, cursor netip.Addr
	lowOf       []Range
	epoch       int
	lowUntil    time.Time
	fullUntil   time.Time
	hunger      hunger
}

// flight is one claim of blocks that several takes wait for.
type flight struct {
	done chan struct{}
	err  error
}

// New reads the log: from then on Free and Held work, and Take from Local
// pools. Run does the rest. With a DamagedLog the Allocator works, and lacks
// what could not be read: call Restore for what is known of it otherwise
// before Run.
func New(o Options) (*Allocator, error) {
	if o.Node == "" || o.NodeUID == "" || o.Store == nil || o.Log == nil {
		return nil, errors.New("ipam: node, its UID, store and log are needed")
	}
	if o.Patience == 0 {
		o.Patience = 1800 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	seed := fnv.New64a()
	seed.Write([]byte(o.NodeUID))
	a := &Allocator{
		Options: o, ready: make(chan struct{}), kick: make(chan struct{}, 1), questions: make(chan struct{}, 1), nodes: max(o.Nodes, 1),
		spaces: map[string]*space{}, held: map[Key]*held{}, by: map[spot]*held{}, busy: map[Key]*attempt{},
		pools: map[poolKey]*poolState{}, ending: map[string]*ending{}, names: map[string]chan struct{}{},
		asked: map[string]struct{}{}, suspect: map[string]struct{}{}, evicted: map[spot]struct{}{}, strangers: map[spot]*Stranger{}, strays: map[netip.Addr]*held{},
		last: map[string]time.Time{}, quotas: map[tokenKey]*Pool{},
		random: rand.New(rand.NewPCG(seed.Sum64(), 84)), metrics: newMetrics(),
	}
	if damage := a.replay(); damage != nil {
		return a, damage
	}
	return a, nil
}

// SetNodes tells how many nodes share the pools; new regions follow it.
func (a *Allocator) SetNodes(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes = max(n, 1)
}

// Ready is closed when the node's blocks are known, so that every pool works.
func (a *Allocator) Ready() <-chan struct{} { return a.ready }

// Held lists what interfaces of this node have, in the order of their keys.
func (a *Allocator) Held() []Holding {
	a.mu.Lock()
	out := make([]Holding, 0, len(a.held))
	for _, h := range a.held {
		out = append(out, Holding{h.owner, h.grants()})
	}
	a.mu.Unlock() // who takes does not wait until they are sorted
	slices.SortFunc(out, func(x, y Holding) int {
		return cmp.Or(strings.Compare(x.Owner.ContainerID, y.Owner.ContainerID), strings.Compare(x.Owner.IfName, y.Owner.IfName))
	})
	return out
}

func (a *Allocator) space(domain string) *space {
	s := a.spaces[domain]
	if s == nil {
		s = newSpace(domain)
		a.spaces[domain] = s
	}
	return s
}

// state is what is going on at a pool, which may have been edited since.
func (a *Allocator) state(p Pool) *poolState {
	key := poolKey{p.Domain, p.Name}
	s := a.pools[key]
	if s == nil {
		s = &poolState{}
		a.pools[key] = s
	}
	s.pool, s.seen = p, time.Now()
	return s
}

// strictSize is the largest pool that is given out strictly lowest-first, as
// people expect of a range that they can see at a glance.
const strictSize = 256

// strict tells whether the lowest free address is given out, whichever was
// given back last.
func (p *Pool) strict() bool { return p.Lowest || !p.Resting && p.Size() <= strictSize }

// nudge wakes Run.
func (a *Allocator) nudge() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// question notes that a block has requests. Called with mu held.
func (a *Allocator) question(block string) {
	a.asked[block] = struct{}{}
	select {
	case a.questions <- struct{}{}:
	default:
	}
}

// unavailable turns an error of the Store into a Refusal.
func unavailable(doing string, err error) error {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return err
	case errors.Is(err, ErrForbidden):
		return &Refusal{Reason: Forbidden, Message: fmt.Sprintf("%s: %v", doing, err), Fix: "check tsunagu's RBAC and CRDs: apply the manifests of the running version again"}
	}
	return &Refusal{Reason: Unavailable, Message: fmt.Sprintf("%s: the API server is needed for it: %v", doing, err), Fix: "it is tried again; check the API server if this stays"}
}
