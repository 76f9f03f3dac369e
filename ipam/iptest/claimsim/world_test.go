package claimsim_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// oracle knows who uses what: an address of a domain is used from when a take
// was answered until the sandbox is gone, and by one at a time, or two, of which
// the second has said that its virtual machine migrates.
type oracle struct {
	mu     sync.Mutex
	users  map[string]string
	second map[string]string
	owner  map[string]string // by right, of what one uses who shares it
	pairs  int
	failed []string
}

func (o *oracle) begin(domain string, grants []ipam.Grant, who string, migrates bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range grants {
		at := domain + " " + g.Address.Addr().String()
		other, used := o.users[at]
		switch third := o.second[at]; {
		case !used || other == who:
			o.users[at] = who
		case third == who:
		case third == "" && o.owner[at] == who:
			o.users[at], o.second[at] = who, other
			o.pairs++
		case migrates && third == "":
			o.second[at] = who
			o.pairs++
		case third != "":
			o.failed = append(o.failed, fmt.Sprintf("%s is used by %s, %s and %s", at, other, third, who))
		default:
			o.failed = append(o.failed, fmt.Sprintf("%s is used by %s and %s", at, other, who))
			o.users[at] = who
		}
	}
}

// leaves ends one's use.
func (o *oracle) leaves(at string, gone func(who string) bool) {
	if gone(o.second[at]) {
		delete(o.second, at)
	}
	if gone(o.users[at]) {
		delete(o.users, at)
		delete(o.owner, at)
		if next := o.second[at]; next != "" {
			o.users[at] = next
			delete(o.second, at)
		}
	}
}

func (o *oracle) endAll(prefix string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := range o.users {
		o.leaves(at, func(who string) bool { return strings.HasPrefix(who, prefix) })
	}
}

// owns notes who an address is shared with that nobody uses yet: its owner may
// not have heard that it is, and may never.
func (o *oracle) owns(at, who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users[at] == "" {
		o.owner[at] = who
	}
}

// endOf ends all that one uses.
func (o *oracle) endOf(who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := range o.users {
		o.leaves(at, func(user string) bool { return user == who })
	}
}

func (o *oracle) end(domain string, grants []ipam.Grant, who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range grants {
		o.leaves(domain+" "+g.Address.Addr().String(), func(user string) bool { return user == who })
	}
}

// world is a cluster in which everything that may go wrong does. Time is
// virtual and all chance comes from the seed.
type world struct {
	t     *testing.T
	seed  uint64
	nodes int
	pods  int // lives of Pods per node
	calm  bool
	quiet bool // a planted bug may make any step fail
	// unsettled: regions go and come back with other units all the time.
	unsettled bool
	// claims lets half of the Pods have claims; buried are nodes that were
	// lost; unswept: no agent looks for objects without a sandbox.
	claims  *claimWorld
	buried  []string
	unswept bool
	byName  bool // a DEL frees what any sandbox of the Pod's name has
	store   *iptest.Store
	oracle  oracle
	// wrap plants a bug between the allocator and what it rests on.
	wrap    func(ipam.Store) ipam.Store
	wrapLog func(ipam.Log) ipam.Log

	mu    sync.Mutex
	dead  map[string]bool
	alive map[string]string // host by sandbox
	away  time.Time         // until when the API server is away
	over  bool              // no more faults
}

// draw is chance as a function of the seed, the moment and what it is for, so
// that it does not depend on which goroutine comes first.
func (w *world) draw(what ...string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, w.seed, time.Now().UnixNano(), what)
	return rand.New(rand.NewPCG(h.Sum64(), w.seed)).Uint64()
}

func (w *world) under(n int, what ...string) int { return int(w.draw(what...) % uint64(n)) }

func (w *world) pause(most time.Duration, what ...string) time.Duration {
	return time.Duration(w.draw(what...) % uint64(most))
}

var errLost = errors.New("connection reset by peer")

// gate is the network between a node and the API server.
func (w *world) gate(ctx context.Context, c iptest.Call, deed func() error) error {
	what := c.String()
	if !w.wait(ctx, w.pause(4*time.Millisecond, what)) {
		return ctx.Err()
	}
	if w.isDead(c.Node) {
		return iptest.ErrDead
	}
	switch fate := w.under(100, what, "fate"); {
	case w.isOver():
	case w.isAway():
		return errLost
	case fate < 2:
		return errLost // the request never arrived
	case fate < 4:
		_ = deed()
		return errLost // the answer never arrived
	case fate < 5 && c.Write():
		late := w.pause(3*time.Second, what)
		go func() { time.Sleep(late); _ = deed() }()
		return errLost // the request arrives when nobody expects it
	}
	err := deed()
	if !w.wait(ctx, w.pause(4*time.Millisecond, what)) {
		return ctx.Err()
	}
	if w.isDead(c.Node) {
		return iptest.ErrDead
	}
	return err
}

func (w *world) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *world) sandbox(id, host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive[id] = host
	if host == "" {
		delete(w.alive, id)
	}
}

func (w *world) exists(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive[id] != ""
}

func (w *world) isAway() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.away)
}

func (w *world) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

func (w *world) isDead(life string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead[life]
}

// host is a node of the world: it outlives the agents that run on it.
type host struct {
	w    *world
	name string
	disk iptest.Disk

	mu    sync.Mutex
	life  string
	n     int
	lives int // as a Node object
	a     *ipam.Allocator
	stop  func()
}

func (h *host) agent() *ipam.Allocator {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.a
}

// uid is the identity of the Node. Called with mu held.
func (h *host) uid() string {
	if h.lives == 0 {
		return h.name + "-uid"
	}
	return fmt.Sprintf("%s-%d-uid", h.name, h.lives)
}

func (h *host) boot() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.life = fmt.Sprintf("%s#%d", h.name, h.n)
	var store ipam.Store = h.w.store.As(h.life)
	if h.w.wrap != nil {
		store = h.w.wrap(store)
	}
	var log ipam.Log = h.disk.Boot()
	if h.w.wrapLog != nil {
		log = h.w.wrapLog(log)
	}
	a, err := ipam.New(ipam.Options{Node: h.name, NodeUID: h.uid(), Store: store, Log: log, Nodes: h.w.nodes})
	if err != nil {
		h.w.t.Error(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	h.a, h.stop = a, func() { cancel(); <-done }
}

// kill ends the agent between any two of its steps.
func (h *host) kill() {
	h.mu.Lock()
	stop := h.stop
	h.disk.Kill()
	h.w.mu.Lock()
	h.w.dead[h.life] = true
	h.w.mu.Unlock()
	h.mu.Unlock()
	stop()
}

var simPools = []ipam.Pool{
	poolOf("10.1.2.0/28"),
	poolOf("10.1.2.0/26"), // overlaps
	poolOf("10.1.4.0/24"),
	poolOf("fd00::/120"),
}

// live is the life of one Pod: it is made, its runtime asks again until it has
// addresses, it runs, and it goes. Its sandbox is gone before its addresses
// are freed.
func (w *world) live(h *host, i int) {
	if w.claims != nil && i%2 == 0 {
		w.liveClaimed(h, i)
		return
	}
	o := ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprintf("%s-%d", h.name, i), IfName: "net1"}, Namespace: "sim", Pod: fmt.Sprintf("pod-%s-%d", h.name, i)}
	p := simPools[w.under(len(simPools), o.Pod)]
	wants := anyOf(p)
	switch w.under(6, o.Pod, "kind") {
	case 0:
		wants = anyOf(p, simPools[w.under(len(simPools), o.Pod, "second")])
	case 1:
		x := p.Prefix.Addr()
		for range 1 + w.under(min(int(p.Size()), 40), o.Pod) {
			x = x.Next()
		}
		wants[0].Static = x
	}
	var grants []ipam.Grant
	w.sandbox(o.ContainerID, h.name)
	for range 8 {
		if !w.exists(o.ContainerID) {
			break // the node was rebooted
		}
		got, err := h.agent().Take(context.Background(), o, wants)
		if err == nil {
			grants = got
			break
		}
		time.Sleep(w.pause(time.Second, o.Pod))
	}
	if w.exists(o.ContainerID) {
		w.oracle.begin("blue", grants, o.Pod, false)
	}
	time.Sleep(w.pause(3*time.Second, o.Pod))
	w.oracle.end("blue", grants, o.Pod)
	w.sandbox(o.ContainerID, "")
	for h.agent().Free(context.Background(), o.Key) != nil {
		time.Sleep(w.pause(time.Second, o.Pod))
	}
	// The answer may have come from an agent that was killed since.
	if err := h.agent().Free(context.Background(), o.Key); err != nil && !w.quiet {
		w.t.Error(err)
	}
}

// reboot destroys all sandboxes of a host and what its agent remembers.
func (h *host) reboot() {
	h.kill()
	h.w.mu.Lock()
	for id, host := range h.w.alive {
		if host == h.name {
			delete(h.w.alive, id)
		}
	}
	h.w.mu.Unlock()
	h.w.oracle.endAll("pod-" + h.name + "-")
	h.disk.Lose()
	h.boot()
}

// sweep does what an agent does about Address objects without a sandbox.
func (h *host) sweep() {
	if h.w.unswept {
		return
	}
	a := h.agent()
	orphans, _ := a.Orphans(context.Background())
	for _, x := range orphans {
		if !h.w.exists(x.Owner.ContainerID) {
			_ = a.DeleteOrphan(context.Background(), x)
		}
	}
}

// retire does what the controller does about regions: one that has no blocks
// goes away, and comes back with another unit.
func (w *world) retire(n int) {
	regions, _, _ := w.store.Objects()
	slices.SortFunc(regions, func(x, y ipam.Region) int { return strings.Compare(x.Name, y.Name) })
	if len(regions) == 0 {
		return
	}
	r := regions[n%len(regions)]
	w.store.Drain(r.Name, true)
	time.Sleep(w.pause(20*time.Millisecond, "drain"))
	_, blocks, _ := w.store.Objects()
	time.Sleep(w.pause(20*time.Millisecond, "drained"))
	for _, b := range blocks {
		if r.Prefix.Contains(b.Prefix.Addr()) {
			w.store.Drain(r.Name, false)
			return
		}
	}
	w.store.Drop(r.Name)
}

// run lets all Pods live and then looks for what is left of them.
func (w *world) run() (duplicates, leaks []string) {
	w.dead, w.alive = map[string]bool{}, map[string]string{}
	w.oracle.users, w.oracle.second, w.oracle.owner = map[string]string{}, map[string]string{}, map[string]string{}
	w.store = iptest.NewStore()
	w.store.Through(w.gate)
	w.store.Lag = func(node string) time.Duration { return w.pause(200*time.Millisecond, node) }
	var hosts []*host
	for i := range w.nodes {
		h := &host{w: w, name: fmt.Sprintf("n%d", i)}
		h.boot()
		hosts = append(hosts, h)
	}
	var lives sync.WaitGroup
	for _, h := range hosts {
		for worker := range 4 {
			lives.Go(func() {
				for i := range w.pods {
					rest := 500 * time.Millisecond
					if w.unsettled {
						rest = 20 * time.Second // so that regions are empty at times
					}
					time.Sleep(w.pause(rest, h.name, fmt.Sprint(worker)))
					w.live(h, worker*1000+i)
				}
			})
		}
	}
	finished := make(chan struct{})
	var killer sync.WaitGroup
	lone := map[string]int{}
	killer.Go(func() {
		for !w.calm {
			select {
			case <-finished:
				return
			case <-time.After(w.pause(2*time.Second, "killer")):
				h := hosts[w.under(len(hosts), "killed")]
				n := w.under(100, "how")
				if w.claims != nil {
					w.stir(hosts, lone)
				}
				if w.unsettled {
					hosts[n%len(hosts)].agent().SetNodes(1 + n%4*8)
					n = 8 + n%32
					for i := range 4 {
						w.retire(i)
					}
				}
				switch {
				case n < 8:
					h.reboot()
				case n < 30:
					w.retire(n)
				case n < 40:
					h.agent().SetNodes(1 + n%7)
				case n < 50:
					h.sweep()
				case n < 55:
					w.mu.Lock()
					w.away = time.Now().Add(20 * time.Second)
					w.mu.Unlock()
				default:
					h.kill()
					h.boot()
				}
			}
		}
	})
	lives.Wait()
	close(finished)
	killer.Wait()
	w.mu.Lock()
	w.over = true // no more faults
	w.mu.Unlock()
	time.Sleep(20 * time.Minute)
	leaks = w.leaks(hosts)
	for _, h := range hosts {
		h.kill()
	}
	return w.oracle.failed, leaks
}

// leaks is what is left when nothing should be.
func (w *world) leaks(hosts []*host) (out []string) {
	for _, h := range hosts {
		orphans, err := h.agent().Orphans(context.Background())
		if w.unswept {
			orphans = nil
		}
		if err != nil {
			out = append(out, err.Error())
		}
		for _, x := range orphans { // their sandboxes are gone: the agent would see that
			if err := h.agent().DeleteOrphan(context.Background(), x); err != nil {
				out = append(out, err.Error())
			}
		}
		for _, x := range h.agent().Held() {
			out = append(out, fmt.Sprintf("%s holds %v for %s", h.name, x.Grants, x.Owner.Key))
		}
	}
	time.Sleep(time.Minute)
	if w.claims != nil {
		out = append(out, w.settleClaims(hosts)...)
	}
	_, blocks, bound := w.store.Objects()
	for _, b := range blocks {
		out = append(out, fmt.Sprintf("block %s of %s is left", b.Name, b.Node))
	}
	for _, x := range bound {
		out = append(out, fmt.Sprintf("address %s of %s is left", x.Name, x.Node))
	}
	return out
}

var (
	seeds     = flag.Int("seeds", 60, "number of schedules that the simulation runs")
	firstSeed = flag.Int("first-seed", 0, "seed of the first of them")
)

func poolOf(cidr string) ipam.Pool {
	return ipam.Pool{Name: "pool-" + cidr, Domain: "blue", Prefix: netip.MustParsePrefix(cidr)}
}

func anyOf(pools ...ipam.Pool) (wants []ipam.Want) {
	for _, p := range pools {
		wants = append(wants, ipam.Want{Pool: p})
	}
	return wants
}

// forgetful loses records of a kind.
type forgetful struct {
	ipam.Log
	kind string
}

func (f forgetful) Put(key string, value []byte) error {
	if strings.HasPrefix(key, f.kind) {
		return nil
	}
	return f.Log.Put(key, value)
}
